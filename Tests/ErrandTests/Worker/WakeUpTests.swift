// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("A worker looks for work when there is a reason", .timeLimit(.minutes(3)))
struct WakeUpTests {
    private let clock = ManualClock()
    private let inner: MemoryStore

    init() {
        inner = MemoryStore(clock: clock)
    }

    /// A worker whose beats and maintenance are hours away; jobs number 0 wait at the gate.
    private func harness(
        over store: any JobStore,
        poll: ClosedRange<Duration>,
        gate: Gate = Gate(),
        _ change: (inout WorkerConfiguration) -> Void = { _ in }
    ) -> ErrandHarness {
        var configuration = ErrandHarness.patient
        configuration.beatInterval = .hours(71)
        configuration.maintenanceInterval = .hours(73)
        (configuration.pollInterval, configuration.idlePollInterval) = (poll.lowerBound, poll.upperBound)
        change(&configuration)
        return ErrandHarness(clock: clock, store: store, configuration: configuration) { handlers, _ in
            handlers.add(Chore.self) { job, _ in if job.number == 0 { await gate.wait() } }
        }
    }

    @Test("jobs of which no signal came are found by the poll, which stretches to its limit while nothing is there")
    func poll() async throws {
        let store = SpyStore(inner, isDeaf: true)
        let harness = harness(over: store, poll: .seconds(2)...(.seconds(11)))
        // As another process would, whose signals were lost.
        let elsewhere = JobClient(store: inner, clock: clock, chance: Chance(SeededGenerator(seed: 5)))
        let events = EventWait(harness.events)
        try await harness.withWorker { _ in
            for wait in [4, 8, 11, 11] {
                await clock.waitForTimer(in: .seconds(wait))
                clock.advance(by: .seconds(wait))
            }
            await clock.waitForTimer(in: .seconds(11))
            #expect(store.claims.count == 5)
            let handle = try await elsewhere.enqueue(Chore(number: 1))
            clock.advance(by: .seconds(10))
            #expect(try await handle.record().state == .ready)
            clock.advance(by: .seconds(1))
            #expect(await events.end() == .succeeded)
            #expect(try await handle.record().state == .succeeded)
            // Where work was, more is expected.
            await clock.waitForTimer(in: .seconds(2))
        }
    }

    @Test("a job that is due later starts at its very time, without looking in between")
    func due() async throws {
        let store = SpyStore(inner)
        let harness = harness(over: store, poll: .hours(5)...(.hours(5)))
        let events = EventWait(harness.events)
        try await harness.withWorker { _ in
            let handle = try await harness.client.enqueue(Chore(number: 1), options: .delay(.minutes(7)))
            await clock.waitForTimer(in: .minutes(7))
            let claims = store.claims.count
            clock.advance(by: .minutes(7) - .microseconds(1))
            #expect(try await handle.record().state == .scheduled)
            #expect(store.claims.count == claims)
            clock.advance(by: .microseconds(1))
            #expect(await events.end() == .succeeded)
            let record = try await handle.record()
            #expect(record.startedAt == record.createdAt + .minutes(7))
            #expect(store.claims.count == claims + 1)
        }
    }

    @Test("with every slot taken nothing is asked, however long it takes, and the next starts when one is free")
    func full() async throws {
        let store = SpyStore(inner)
        let gate = Gate()
        let harness = harness(over: store, poll: .seconds(2)...(.seconds(11)), gate: gate) { $0.concurrency = 1 }
        let events = EventWait(harness.events)
        try await harness.client.enqueue(
            contentsOf: [0, 1].map(Chore.init),
            options: EnqueueOptions(timeout: .unlimited)
        )
        try await harness.withWorker { _ in
            #expect(await events.start() == 1)
            // Beats, maintenance, the fence and the watch of handlers sleep; claims have no timer.
            await clock.waitForTimers(atLeast: 3)
            for _ in 0..<60 {
                clock.advance(by: .minutes(1))
                await Task.yield()
            }
            #expect(store.claims.count == 1)
            gate.open()
            #expect(await events.end() == .succeeded)
            #expect(await events.end() == .succeeded)
            #expect(store.claims.count >= 2)
        }
    }

    @Test("with one queue full and the other empty it polls in peace, and goes on at once when a slot is free")
    func oneFull() async throws {
        let store = SpyStore(inner)
        let gate = Gate()
        let harness = harness(over: store, poll: .hours(5)...(.hours(5)), gate: gate) {
            $0.queues = ["a": .init(slots: 1), "b": .init()]
        }
        let events = EventWait(harness.events)
        let inA = EnqueueOptions(queue: "a", timeout: .unlimited)
        try await harness.client.enqueue(contentsOf: [0, 1, 2].map(Chore.init), options: inA)
        try await harness.withWorker { _ in
            #expect(await events.start() == 1)
            await clock.waitForTimer(in: .hours(5))
            let claims = store.claims.count
            #expect(claims <= 2, "one that finds the job, one that finds the other queue empty")
            for _ in 0..<60 {
                clock.advance(by: .minutes(1))
                await Task.yield()
            }
            try await harness.client.enqueue(Chore(number: 3), options: inA)
            for _ in 0..<100 { await Task.yield() }
            #expect(store.claims.count == claims)
            gate.open()
            for _ in 0..<4 { #expect(await events.end() == .succeeded) }
        }
    }

    @Test("what a claim brings after the stop is given back with its attempt, and nothing of it runs")
    func stopDuringClaim() async throws {
        let store = FaultyStore(inner, clock: clock)
        let harness = harness(over: store, poll: .hours(5)...(.hours(5)))
        let worker = harness.worker()
        let running = Task { try await worker.run() }
        await clock.waitForTimer(in: .hours(5))
        store.plan(.delay(.minutes(9)), for: .claim, number: 2)
        let elsewhere = JobClient(store: inner, clock: clock, chance: Chance(SeededGenerator(seed: 5)))
        // Not due yet, so that the claim which their signal starts finds them only after the stop.
        let handles = try await elsewhere.enqueue(contentsOf: (1...3).map(Chore.init), options: .delay(.seconds(1)))
        await clock.waitForTimer(in: .minutes(9))
        clock.advance(by: .seconds(1))
        worker.stopClaiming()
        try await running.value
        for handle in handles {
            let record = try await handle.record(parts: .attempts)
            #expect(record.state == .ready)
            #expect(record.attempt == 0)
            #expect(record.attempts.map(\.ending) == [.released])
        }
        #expect(try await inner.workers().isEmpty)
    }
}
