// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandRedis
import ErrandTesting
import Synchronization
import TestServers
import Testing

private struct Crate: Job {
    static let name: JobName = "crate"
    let number: Int
}

/// How often each number ran, with a wait until all have.
private final class Runs: Sendable {
    private struct State {
        var runs: [Int: Int] = [:]
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let wanted: Int
    private let state = Mutex(State())

    init(until wanted: Int) { self.wanted = wanted }

    var all: [Int: Int] { state.withLock { $0.runs } }

    func add(_ number: Int) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.runs[number, default: 0] += 1
            guard state.runs.count == wanted else { return nil }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    func areAll() async {
        await withCheckedContinuation { continuation in
            let isReached = state.withLock { state in
                if state.runs.count < wanted { state.waiter = continuation }
                return state.runs.count >= wanted
            }
            if isReached { continuation.resume() }
        }
    }
}

@Suite("Moving to Redis and from it at work", .timeLimit(.minutes(3)), .serialized)
struct RedisLiveTransferTests {
    @Test("workers, clients and the move at once: every job runs once, in one of the two", arguments: [true, false])
    func atWork(toRedis: Bool) async throws {
        let redis = try Bench().open()
        let memory = MemoryStore()
        let (source, destination): (any JobStore, any JobStore) = toRedis ? (memory, redis) : (redis, memory)
        let count = 3000
        let runs = Runs(until: count)
        var configuration = StoreTransferConfiguration()
        configuration.batchLimit = 50
        configuration.pollInterval = .milliseconds(5)
        let transfer = StoreTransfer(from: source, to: destination, configuration: configuration)
        try await withThrowingTaskGroup(of: Void.self) { group in
            let client = JobClient(store: source)
            try await client.enqueue(contentsOf: (0..<count / 2).map { Crate(number: $0) })
            // Else it might be done before anything has moved.
            let moved = Gate()
            group.addTask {
                await moved.wait()
                try? await worker(source, runs).run()
            }
            group.addTask { try? await worker(destination, runs).run() }
            try await withThrowingTaskGroup(of: Void.self) { clients in
                clients.addTask { try await transfer.run { _ in moved.open() } }
                for start in stride(from: count / 2, to: count, by: 100) {
                    clients.addTask {
                        try await client.enqueue(contentsOf: (start..<start + 100).map { Crate(number: $0) })
                    }
                }
                try await clients.waitForAll()
            }
            // What was enqueued while the move came to its end.
            try await transfer.run()
            #expect(try await source.counts().count() == 0)
            await runs.areAll()
            group.cancelAll()
        }
        let twice = runs.all.filter { $0.value > 1 }
        #expect(twice.isEmpty, "\(twice.count) ran more than once")
        #expect(try await destination.counts().count(.succeeded) == count)
        #expect(try await destination.counts().count() == count)
        #expect(try await redis.maintain(.recount).affected == 0)
        try await redis.close()
    }

    private func worker(_ store: any JobStore, _ runs: Runs) -> Worker {
        var handlers = JobHandlers()
        handlers.add(Crate.self) { crate, _ in runs.add(crate.number) }
        return Worker(store: store, handlers: handlers)
    }
}
