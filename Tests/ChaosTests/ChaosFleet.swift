// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Foundation
import Synchronization

@testable import ChaosProcess

/// The processes of a chaos run.
final class ChaosFleet: Sendable {
    private struct State {
        var workers: [FleetProcess] = []
        var client: FleetProcess?
        var files = 0
        /// Parts of the work that the client was given and has not said to be done.
        var open: [Int: Int] = [:]
        var thawing: [Task<Void, Never>] = []
        /// How many freezes of a worker are not over.
        var frozen: [Int: Int] = [:]
    }

    let url: String
    let workerCount: Int
    private let folder: URL
    private let state = Mutex(State())

    init(url: String, workers: Int, folder: URL) {
        (self.url, workerCount, self.folder) = (url, workers, folder)
    }

    /// The files of facts of all processes there ever were.
    var files: [String] {
        state.withLock { state in (0..<state.files).map { folder.appending(path: "facts-\($0).jsonl").path } }
    }

    func start(withClient: Bool = true) async throws {
        for _ in 0..<workerCount {
            let worker = try launch(isWorker: true)
            state.withLock { $0.workers.append(worker) }
        }
        if withClient {
            let client = try launch(isWorker: false)
            state.withLock { $0.client = client }
        }
        for process in state.withLock({ $0.workers + [$0.client].compactMap { $0 } }) {
            _ = await process.until("ready")
        }
    }

    private func launch(isWorker: Bool) throws -> FleetProcess {
        let number = state.withLock { state in
            defer { state.files += 1 }
            return state.files
        }
        let file = folder.appending(path: "facts-\(number).jsonl").path
        // Made here: a process may be killed before it comes to that.
        _ = FileManager.default.createFile(atPath: file, contents: nil)
        return try FleetProcess(ChaosSettings(url: url, facts: file, isWorker: isWorker))
    }

    /// Has the client enqueue `count` chores from number `start` on.
    func enqueue(_ start: Int, _ count: Int) {
        let client = state.withLock { state in
            state.open[start] = count
            return state.client
        }
        client?.tell("enqueue \(start) \(count)")
    }

    /// The workers that are not frozen now; all of them when all are.
    var movingWorkers: [Int] {
        let frozen = state.withLock { $0.frozen }
        let moving = (0..<workerCount).filter { frozen[$0, default: 0] == 0 }
        return moving.isEmpty ? Array(0..<workerCount) : moving
    }

    func replaceWorker(_ number: Int) async throws {
        await state.withLock { $0.workers[number] }.kill()
        let next = try launch(isWorker: true)
        state.withLock { $0.workers[number] = next }
    }

    func freeze(_ number: Int, for time: Duration) {
        let worker = state.withLock { $0.workers[number] }
        worker.freeze()
        state.withLock { $0.frozen[number, default: 0] += 1 }
        let task = Task {
            try? await SystemClock.shared.sleep(for: time)
            worker.thaw()
            state.withLock { $0.frozen[number, default: 1] -= 1 }
        }
        state.withLock { $0.thawing.append(task) }
    }

    /// Kills the client. The parts of the work that it had not done go to the next one: a part of which some jobs are stored
    /// is enqueued once more, as other jobs.
    func replaceClient() async throws {
        guard let client = state.withLock({ $0.client }) else { return }
        await client.kill()
        let next = try launch(isWorker: false)
        let open = state.withLock { state in
            state.client = next
            state.open = state.open.filter { !client.hasSaid("enqueued \($0.key)") }
            return state.open
        }
        for (start, count) in open.sorted(by: { $0.key < $1.key }) { next.tell("enqueue \(start) \(count)") }
    }

    /// Waits until the client has enqueued everything, and every frozen worker goes on.
    func calm() async {
        for task in state.withLock({ $0.thawing }) { await task.value }
        let (client, open) = state.withLock { ($0.client, $0.open.keys.sorted()) }
        for start in open { _ = await client?.until("enqueued \(start)") }
    }

    /// Ends all processes in peace.
    /// - Returns: How each ended.
    func end() async -> [Int32] {
        let processes = state.withLock { $0.workers + [$0.client].compactMap { $0 } }
        var codes: [Int32] = []
        for process in processes { codes.append(await process.end()) }
        return codes
    }

    /// Ends all processes whatever they do.
    func kill() async {
        for process in state.withLock({ $0.workers + [$0.client].compactMap { $0 } }) {
            process.thaw()
            await process.kill()
        }
    }
}
