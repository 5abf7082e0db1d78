// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation
import Subprocess
import Synchronization
import Testing

@testable import Signup

extension Drills {
    @Test(
        "ten thousand acknowledged jobs survive ten kills: each succeeds once, every extra run has a recorded cause",
        .timeLimit(.minutes(5))
    )
    func crash() async throws {
        let seed = ProcessInfo.processInfo.environment["DRILL_SEED"].flatMap(UInt64.init) ?? .random(in: .min ... .max)
        print("crash drill: DRILL_SEED=\(seed)")
        try await withTemporaryFolder { folder in
            let drill = CrashDrill(folder: folder, seed: seed)
            try await drill.run()
            drill.check(try StoredJobs(path: drill.database), try drill.ledger())
        }
    }
}

/// Enqueues over HTTP while the server is killed again and again.
private final class CrashDrill: Sendable {
    private let jobs = 10_000
    private let connections = 32
    let database: String
    private let ledgerPath: String
    private let environment: [String: String]
    private let load: LoadBoard
    /// After how many acknowledgements each kill happens.
    private let kills: [Int]
    /// When the worker of each process registered, in store time; a dead one's row goes when it has been rescued.
    private let registered = Mutex<[Int64: Int64]>([:])

    init(folder: URL, seed: UInt64) {
        database = folder.appending(path: "signup.db").path
        ledgerPath = folder.appending(path: "ledger").path
        environment = [
            "PORT": "0", "DATABASE": database, "RUN_LEDGER": ledgerPath, "LOG_LEVEL": "warning",
            "MAIL_FOLDER": folder.appending(path: "mail").path, "FILE_FOLDER": folder.appending(path: "files").path,
        ]
        var generator = SeededGenerator(seed: seed)
        // At random moments, but with some work between two of them.
        kills = (0..<10).map { 400 + $0 * 900 + Int.random(in: 0..<600, using: &generator) }
        load = LoadBoard(jobs: jobs)
    }

    /// The lines of the ledger: which job ran under which epochs.
    func ledger() throws -> [JobID: [Int64]] {
        let text = try String(contentsOfFile: ledgerPath, encoding: .utf8)
        var runs: [JobID: [Int64]] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ")
            let id = try #require(parts.count == 2 ? JobID(String(parts[0])) : nil, "a torn line: \(line)")
            runs[id, default: []].append(try #require(Int64(parts[1])))
        }
        return runs
    }

    func run() async throws {
        let start = SystemClock.shared.uptime
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<connections { group.addTask { try await self.enqueue() } }
            for kill in kills {
                let (_, status) = try await SignupProcess.run(environment, ending: .kill) { process in
                    load.open(process.url)
                    await load.wait(forAnswers: kill)
                    try noteWorkers()
                    load.close()
                }
                #expect(status == .signaled(9))
            }
            let (_, status) = try await SignupProcess.run(environment) { process in
                load.open(process.url)
                await load.wait(forAnswers: jobs)
                try noteWorkers()
                try await group.waitForAll()
                try await DrillClient.run(connections: 1) { client in
                    let open = "state=ready&state=running&state=retrying&state=scheduled&limit=1"
                    try await client.poll("\(process.url)/jobs?\(open)") { $0["jobs"] == .array([]) }
                }
            }
            #expect(status == .exited(0))
        }
        print("crash drill: \(jobs) jobs, \(kills.count) kills, \((SystemClock.shared.uptime - start).inSeconds) s")
    }

    private func noteWorkers() throws {
        let workers = try StoredJobs.workers(path: database)
        registered.withLock { $0.merge(workers) { $1 } }
    }

    /// One client: a job after the other, each again until a server has acknowledged it.
    private func enqueue() async throws {
        try await DrillClient.run(connections: 1) { client in
            var last: String?
            while let number = load.next() {
                // Every fortieth takes long enough to be running when the server dies.
                let seconds = number.isMultiple(of: 40) ? 0.2 : 0
                var isAcknowledged = false
                while !isAcknowledged {
                    let url = await load.server(after: last)
                    do {
                        load.acknowledge(try await client.process(url, text: "job \(number)", seconds: seconds))
                        isAcknowledged = true
                    } catch let error as UnexpectedAnswer {
                        // A wrong answer counts as one, so that the drill goes on to its end and fails there.
                        Issue.record("the server answered \(error.status)")
                        load.giveUp()
                        isAcknowledged = true
                    } catch {
                        // Killed; whether the job was stored is not known, so it counts for nothing.
                        last = url
                    }
                }
            }
        }
    }

    func check(_ stored: StoredJobs, _ ledger: [JobID: [Int64]]) {
        let acknowledged = load.acknowledgedIDs
        #expect(acknowledged.count == jobs)
        let missing = acknowledged.filter { stored.jobs[$0] == nil }
        #expect(missing.isEmpty)
        var (reruns, unstarted, slow) = (0, 0, 0.0)
        let registrations = registered.withLock { $0 }.sorted { $0.value < $1.value }
        #expect(registrations.count == kills.count + 1)
        // Also those that nobody was told about: what is stored, is done.
        for (id, job) in stored.jobs {
            guard job.state == .succeeded else {
                Issue.record("job \(id) is \(String(describing: job.state))")
                continue
            }
            let endings = job.tries.map(\.ending)
            #expect(endings.dropLast().allSatisfy { $0 == "crashed" || $0 == "released" }, "\(id): \(endings)")
            #expect(endings.last == .some("succeeded") || endings == [nil], "\(id): \(endings)")
            #expect(job.crashes == endings.count { $0 == "crashed" })
            let runs = ledger[id] ?? []
            #expect(Set(runs).count == runs.count, "\(id) ran twice under one lease")
            #expect(runs.contains(job.epoch), "\(id) succeeded without having run")
            #expect(Set(runs).isSubset(of: job.tries.map(\.epoch)), "\(id) has runs without a recorded cause")
            reruns += runs.count - 1
            unstarted += job.tries.count - runs.count
            // What was really running at a kill runs again within a second of the next start.
            for (lost, next) in zip(job.tries, job.tries.dropFirst()) where lost.ending == "crashed" {
                guard runs.contains(lost.epoch) else { continue }
                let index = registrations.firstIndex { $0.key == lost.worker }
                let restart = index.flatMap { $0 + 1 < registrations.count ? registrations[$0 + 1] : nil }
                guard let restart else {
                    Issue.record("\(id): no start of the service follows the crash")
                    continue
                }
                let wait = Double(next.startedAt - restart.value) / 1e6
                slow = max(slow, wait)
                #expect(wait <= 1, "\(id) ran again \(wait) s after the restart")
            }
        }
        #expect(reruns > 0, "no kill met a running job: the drill proved nothing")
        print(
            "crash drill: \(stored.jobs.count) stored, \(reruns) extra runs, \(unstarted) lost before they started, "
                + "again at most \(slow) s after the restart"
        )
    }
}

/// What the clients and the killer know of each other.
private final class LoadBoard: Sendable {
    private struct State {
        var issued = 0
        var url: String?
        var acknowledged: [JobID] = []
        var refused = 0
        var clients: [CheckedContinuation<Void, Never>] = []
        var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let jobs: Int
    private let state = Mutex(State())

    init(jobs: Int) { self.jobs = jobs }

    var acknowledgedIDs: [JobID] { state.withLock { $0.acknowledged } }

    /// The number of the next job; `nil` when all are given out.
    func next() -> Int? {
        state.withLock { state in
            guard state.issued < jobs else { return nil }
            state.issued += 1
            return state.issued
        }
    }

    func open(_ url: String) {
        let clients = state.withLock { state in
            state.url = url
            defer { state.clients = [] }
            return state.clients
        }
        for client in clients { client.resume() }
    }

    func close() { state.withLock { $0.url = nil } }

    /// The address of the server that runs, once it is another than `dead`.
    func server(after dead: String?) async -> String {
        while true {
            if let url = state.withLock({ $0.url }), url != dead { return url }
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    if let url = state.url, url != dead { return true }
                    state.clients.append(continuation)
                    return false
                }
                if isOpen { continuation.resume() }
            }
        }
    }

    func acknowledge(_ id: JobID) { answer { $0.acknowledged.append(id) } }

    /// A job that will never be acknowledged.
    func giveUp() { answer { $0.refused += 1 } }

    private func answer(_ change: (inout State) -> Void) {
        let reached = state.withLock { state in
            change(&state)
            let count = state.acknowledged.count + state.refused
            let reached = state.watchers.filter { $0.count <= count }
            state.watchers.removeAll { $0.count <= count }
            return reached
        }
        for watcher in reached { watcher.continuation.resume() }
    }

    func wait(forAnswers count: Int) async {
        await withCheckedContinuation { continuation in
            let isReached = state.withLock { state in
                if state.acknowledged.count + state.refused >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if isReached { continuation.resume() }
        }
    }
}
