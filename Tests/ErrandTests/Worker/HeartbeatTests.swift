// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

@Suite("Heartbeats", .timeLimit(.minutes(3)))
struct HeartbeatTests {
    /// Whether the shared pool came to a task that waits behind all that block it.
    private final class Pool: Sendable {
        let hasRun = Atomic(false)
    }

    /// Looks every few milliseconds, from the clock's own thread, until something holds or ten seconds are over.
    private static func watch(
        until holds: @escaping @Sendable () -> Bool,
        left: Int = 5000,
        then: @escaping @Sendable () -> Void
    ) {
        guard left > 0, !holds() else { return then() }
        SystemClock.shared.schedule(after: .milliseconds(2)) { watch(until: holds, left: left - 1, then: then) }
    }

    @Test("with the handlers' threads and the whole shared pool blocked beats still get through, and no lease is lost")
    func starved() async throws {
        let store = FaultyStore(MemoryStore(), clock: SystemClock.shared)
        let gate = ThreadGate()
        var configuration = WorkerConfiguration.jobsOnly
        configuration.threads = 2
        configuration.concurrency = 2
        configuration.beatInterval = .milliseconds(5)
        var handlers = JobHandlers()
        handlers.add(Chore.self) { _, _ in gate.wait() }
        let hub = EventHub()
        let worker = Worker(store: store, handlers: handlers, configuration: configuration, events: hub)
        let client = JobClient(store: store, events: hub)
        let running = Task { try await worker.run() }
        let handles = try await client.enqueue(contentsOf: [Chore(number: 1), Chore(number: 2)])
        while worker.health.running < 2 { await Task.yield() }
        await gate.waitUntilHeld()

        // More than any pool has threads; what comes behind them waits for the gate.
        for _ in 0..<512 { Task.detached { gate.wait() } }
        let pool = Pool()
        Task.detached { pool.hasRun.store(true, ordering: .relaxed) }
        let before = store.calls(of: .beat)
        let (hasRun, beats) = await withCheckedContinuation { continuation in
            Self.watch {
                store.calls(of: .beat) >= before + 10
            } then: {
                let found = (pool.hasRun.load(ordering: .relaxed), store.calls(of: .beat) - before)
                gate.open()
                continuation.resume(returning: found)
            }
        }
        #expect(!hasRun, "the shared pool did nothing else meanwhile")
        #expect(beats >= 10)
        for handle in handles {
            let record = try await handle.finished(timeout: .seconds(20))
            #expect(record.state == .succeeded)
            #expect(record.epoch == 1)
        }
        worker.stopClaiming()
        try await running.value
    }
}
