// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandSQLite
import ErrandTesting
import Foundation
import Synchronization
import Testing

@Suite("Moving between stores at work", .timeLimit(.minutes(3)))
struct LiveTransferTests {
    /// A job that is run in either store.
    struct Parcel: Job {
        static let name: JobName = "parcel"
        let number: Int
    }

    /// How often each number ran, for whoever waits until all have.
    final class Runs: Sendable {
        private let state = Mutex<(runs: [Int: Int], wanted: Int, waiter: CheckedContinuation<Void, Never>?)>(
            ([:], .max, nil)
        )

        var all: [Int: Int] { state.withLock { $0.runs } }

        func add(_ number: Int) {
            let waiter = state.withLock { state in
                state.runs[number, default: 0] += 1
                guard state.runs.count >= state.wanted else { return nil as CheckedContinuation<Void, Never>? }
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume()
        }

        func until(_ count: Int) async {
            await withCheckedContinuation { continuation in
                let isReached = state.withLock { state in
                    if state.runs.count >= count { return true }
                    (state.wanted, state.waiter) = (count, continuation)
                    return false
                }
                if isReached { continuation.resume() }
            }
        }
    }

    @Test("workers, clients and the move at once: every job runs once, in one of the two", arguments: [true, false])
    func atWork(toSQLite: Bool) async throws {
        let folder = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("errand-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let sqlite = try SQLiteStore(
            path: folder.appendingPathComponent("jobs.db").path,
            configuration: SQLiteConfiguration(durability: .processCrash)
        )
        let memory = MemoryStore()
        try await toSQLite ? move(from: memory, to: sqlite) : move(from: sqlite, to: memory)
        try await sqlite.close()
    }

    /// Moves a store at work to another one.
    func move(from source: any JobStore, to destination: any JobStore) async throws {
        let (here, there) = (Runs(), Runs())
        let all = Runs()
        let count = 3000
        var configuration = StoreTransferConfiguration()
        configuration.batchLimit = 50
        configuration.pollInterval = .milliseconds(5)
        let transfer = StoreTransfer(from: source, to: destination, configuration: configuration)
        try await withThrowingTaskGroup(of: Void.self) { group in
            let client = JobClient(store: source)
            try await client.enqueue(contentsOf: (0..<count / 2).map { Parcel(number: $0) })
            // Else it might be done before anything has moved.
            let moved = Gate()
            group.addTask {
                await moved.wait()
                try? await worker(source, here, all).run()
            }
            group.addTask { try? await worker(destination, there, all).run() }
            try await withThrowingTaskGroup(of: Void.self) { clients in
                clients.addTask { try await transfer.run { _ in moved.open() } }
                for start in stride(from: count / 2, to: count, by: 100) {
                    clients.addTask {
                        try await client.enqueue(contentsOf: (start..<start + 100).map { Parcel(number: $0) })
                    }
                }
                try await clients.waitForAll()
            }
            // What was enqueued while the move came to its end.
            try await transfer.run()
            #expect(try await source.counts().count() == 0)
            await all.until(count)
            group.cancelAll()
        }
        #expect(all.all.count == count)
        #expect(all.all.values.allSatisfy { $0 == 1 }, "\(all.all.filter { $0.value > 1 }.count) ran more than once")
        #expect(!there.all.isEmpty)
        #expect(Set(here.all.keys).isDisjoint(with: there.all.keys))
        #expect(try await destination.counts().count(.succeeded) == count)
        #expect(try await destination.counts().count() == count)
    }

    private func worker(_ store: any JobStore, _ runs: Runs, _ all: Runs) -> Worker {
        var handlers = JobHandlers()
        handlers.add(Parcel.self) { parcel, _ in
            runs.add(parcel.number)
            all.add(parcel.number)
        }
        return Worker(store: store, handlers: handlers)
    }
}
