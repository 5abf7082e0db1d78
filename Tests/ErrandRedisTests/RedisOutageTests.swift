// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandRedis
import Logging
import Synchronization
import TestServers
import Testing

/// Work of no consequence, by number.
private struct Count: Job {
    static let name: JobName = "count"
    let number: Int
}

/// How often each number was done, with a wait for the last.
private final class Ledger: Sendable {
    private struct State {
        var runs: [Int: Int] = [:]
        var wanted = Int.max
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    var runs: [Int: Int] { state.withLock { $0.runs } }

    func note(_ number: Int) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.runs[number, default: 0] += 1
            guard state.runs.count >= state.wanted else { return nil }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Waits until so many numbers were done.
    func reaches(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.runs.count >= count { return true }
                (state.wanted, state.waiter) = (count, continuation)
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}

@Suite("A worker and the outages of its server", .timeLimit(.minutes(3)), .serialized)
struct RedisOutageTests {
    enum Outage: CaseIterable {
        case crash
        case freeze
    }

    @Test(
        "it goes on by itself within 10 s, loses nothing, and does nothing twice without a cause",
        arguments: Outage.allCases
    )
    func goesOn(_ outage: Outage) async throws {
        let server = try RedisServer(.init(["appendfsync": "always"]))
        var configuration = RedisStoreConfiguration(name: "outage")
        configuration.commandTimeLimit = .seconds(1)
        let store = try RedisStore(url: server.url, configuration: configuration)
        let jobs = JobClient(store: store)
        let ledger = Ledger()
        var handlers = JobHandlers()
        handlers.add(Count.self) { job, _ in ledger.note(job.number) }
        let worker = Worker(store: store, handlers: handlers, logger: Logger(label: "outage"))
        let running = Task { try await worker.run() }
        for number in 0..<500 { _ = try await jobs.enqueue(Count(number: number)) }
        await ledger.reaches(100)
        switch outage {
        case .crash: server.kill()
        case .freeze: server.freeze()
        }
        // Somebody asks while it is away, and is told so.
        let clock = SystemClock.shared
        let away = await failure { _ = try await store.counts() }
        #expect(away?.isTransient == true)
        switch outage {
        case .crash: try server.start()
        case .freeze: server.thaw()
        }
        let (back, done) = (clock.uptime, ledger.runs.count)
        try await enqueue(Count(number: 500), with: jobs)
        await ledger.reaches(done + 1)
        #expect(clock.uptime - back < .seconds(10), "it took \(clock.uptime - back)")
        for number in 501..<1000 { try await enqueue(Count(number: number), with: jobs) }
        await ledger.reaches(1000)
        var counts = try await store.counts()
        while counts.count(.succeeded) < 1000, clock.uptime - back < .seconds(60) { counts = try await store.counts() }
        #expect(counts.count() == 1000)
        #expect(counts.count(.succeeded) == 1000)
        #expect(Set(ledger.runs.keys) == Set(0..<1000))
        running.cancel()
        try? await running.value
        try await store.close()
        server.kill()
    }

    /// Enqueues, and again when the store was away: the same job each time, because it has its id from the beginning.
    private func enqueue(_ job: Count, with jobs: JobClient) async throws {
        let id = Chance.system.jobID(at: SystemClock.shared.now)
        while true {
            do {
                _ = try await jobs.enqueue(job, options: EnqueueOptions(id: id))
                return
            } catch let error as StoreError where error.isTransient {
                continue
            }
        }
    }
}
