// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

@Suite("A worker that is cut off stops trusting its leases", .timeLimit(.minutes(3)))
struct FencingTests {
    private let clock = ManualClock()
    private let inner: MemoryStore
    private let store: FaultyStore

    init() {
        inner = MemoryStore(clock: clock)
        store = FaultyStore(inner, clock: clock)
    }

    private func harness(
        slots: Int = 16,
        grace: Duration = .seconds(10),
        _ handler: @escaping @Sendable (Chore, JobContext) async throws -> Void
    ) -> ErrandHarness {
        var configuration = WorkerConfiguration.jobsOnly
        // A length that no other timer has, to wait for.
        configuration.beatInterval = .milliseconds(4100)
        (configuration.concurrency, configuration.grace) = (slots, grace)
        return ErrandHarness(clock: clock, store: store, configuration: configuration) { handlers, _ in
            handlers.add(Chore.self) { job, context in try await handler(job, context) }
        }
    }

    @Test("without a beat for 20 s it claims no more, cancels what runs and gives it back, until a beat gets through")
    func fence() async throws {
        let clock = clock
        let reason = Mutex<CancellationReason?>(nil)
        let isFirst = Atomic(true)
        let harness = harness { _, context in
            guard isFirst.exchange(false, ordering: .relaxed) else { return }
            defer { reason.withLock { $0 = context.cancellationReason } }
            try await clock.sleep(for: .hours(1))
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { worker in
            let handle = try await harness.client.enqueue(Chore(number: 1))
            #expect(await events.start() == 1)
            await clock.waitForTimer(in: .hours(1))
            await clock.waitForTimer(in: .milliseconds(4100))
            store.planAlways(.unavailable, for: .beat)
            clock.advance(by: .seconds(20))
            #expect(worker.health.isReady, "20 s are not longer than 20 s")
            clock.advance(by: .seconds(1))
            #expect(!worker.health.isReady)
            #expect(await events.next { $0 == .fenced ? true : nil } == true)
            #expect(await events.end() == .ready)
            #expect(reason.withLock { $0 } == .leaseLost)
            #expect(worker.health.running == 0)
            let record = try await handle.record(parts: .attempts)
            #expect(record.attempt == 0)
            #expect(record.attempts.map(\.ending) == [.released])

            let claims = store.calls(of: .claim)
            try await harness.client.enqueue(Chore(number: 2))
            clock.advance(by: .seconds(2))
            for _ in 0..<100 { await Task.yield() }
            #expect(store.calls(of: .claim) == claims, "it asks for nothing although there is work and room")

            store.heal()
            try await clock.pass(with: worker) { worker.health.isReady }
            #expect(await events.end() == .succeeded)
            #expect(await events.end() == .succeeded)
            #expect(worker.health.isReady)
        }
    }

    @Test("a worker that was declared dead cannot settle; it goes on under a new identity and runs the job again")
    func declaredDead() async throws {
        let gate = Gate()
        let isFirst = Atomic(true)
        let harness = harness(grace: .hours(9)) { _, _ in
            guard isFirst.exchange(false, ordering: .relaxed) else { return }
            // A detached wait does not hear of the cancellation of this task.
            await Task.detached { await gate.wait() }.value
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { worker in
            let old = worker.id
            let handle = try await harness.client.enqueue(Chore(number: 1))
            _ = await events.start()
            await clock.waitForTimer(in: .milliseconds(4100))
            store.planAlways(.unavailable, for: .beat)
            store.planAlways(.unavailable, for: .maintain)
            clock.advance(by: .seconds(31))
            let report = try await inner.maintain(.rescue(silence: .seconds(30)))
            #expect(report.deadWorkers == [old])
            #expect(report.rescued == [handle.id: .ready])

            gate.open()
            #expect(await events.next { if case .leaseLost(let id, _) = $0 { id } else { nil } } == handle.id)
            #expect(try await handle.record().state == .ready, "the late success is refused")

            store.heal()
            try await clock.pass(with: worker) { worker.health.isReady }
            #expect(await events.end() == .succeeded)
            let record = try await handle.record(parts: .attempts)
            #expect(record.crashes == 1)
            #expect(record.attempts.map(\.ending) == [.crashed, .succeeded])
            #expect(worker.id != old)
            #expect(record.attempts.map(\.worker) == [old, worker.id])
            #expect(worker.health.isReady)
            #expect(try await inner.workers().map(\.registration.id) == [worker.id])
        }
    }

    @Test("a handler that ignores that its lease is lost has its slot taken from it after the grace")
    func stubborn() async throws {
        let gate = Gate()
        let isFirst = Atomic(true)
        let harness = harness(slots: 1) { _, _ in
            guard isFirst.exchange(false, ordering: .relaxed) else { return }
            await Task.detached { await gate.wait() }.value
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { worker in
            let handle = try await harness.client.enqueue(Chore(number: 1))
            _ = await events.start()
            await clock.waitForTimer(in: .milliseconds(4100))
            _ = try await inner.maintain(.rescue(silence: .microseconds(-1)))
            clock.advance(by: .milliseconds(4100))
            await clock.waitForTimer(in: .seconds(10))
            clock.advance(by: .seconds(10))
            #expect(await events.next { if case .abandoned(let id, _) = $0 { id } else { nil } } == handle.id)
            #expect(await events.end() == .succeeded, "the only slot is free for the second run")
            #expect(worker.health.zombies == 1)
            gate.open()
        }
    }

    @Test("a worker that lost a job and claimed it anew stops the attempt that it lost, not the one that holds")
    func anew() async throws {
        let (clock, store) = (clock, store)
        let starts = Atomic(0)
        let harness = harness { _, _ in
            let isFirst = starts.add(1, ordering: .relaxed).newValue == 1
            try await clock.sleep(for: isFirst ? .hours(1) : .seconds(30))
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { worker in
            let handle = try await harness.client.enqueue(Chore(number: 1))
            #expect(await events.start() == 1)
            await clock.waitForTimer(in: .hours(1))
            // As if the answer to the claim had been lost: the store gives the job back, and this worker takes it.
            let unlisted = Beat(worker: worker.id, held: [], accountedThrough: clock.now)
            #expect(try await store.beat(unlisted).released == 1)
            #expect(await events.start() == 1)
            await clock.waitForTimer(in: .seconds(30))
            await clock.pass(.seconds(5), with: worker)
            #expect(await events.next { if case .leaseLost(let id, _) = $0 { id } else { nil } } == handle.id)
            await clock.pass(.seconds(26), with: worker)
            #expect(await events.end() == .succeeded)
            #expect(starts.load(ordering: .relaxed) == 2)
            #expect(try await handle.record().epoch == 3)
        }
    }
}
