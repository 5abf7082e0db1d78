// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("A worker takes what its own process enqueues", .timeLimit(.minutes(3)))
struct OfferTests {
    private let clock = ManualClock()

    /// A worker that asks again after two hours, so that every claim before that has a reason.
    private func harness(
        slots: Int,
        over store: any JobStore,
        _ handler: @escaping @Sendable (Chore) async throws -> Void = { _ in }
    ) -> ErrandHarness {
        var configuration = ErrandHarness.patient
        configuration.concurrency = slots
        configuration.pollInterval = .hours(2)
        configuration.idlePollInterval = .hours(2)
        return ErrandHarness(clock: clock, store: store, configuration: configuration) { handlers, _ in
            handlers.add(Chore.self) { job, _ in try await handler(job) }
        }
    }

    @Test("with free slots jobs are stored and started in one act, without a claim")
    func inOneAct() async throws {
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        let harness = harness(slots: 2, over: store)
        let events = EventWait(harness.events)
        try await harness.withWorker { _ in
            await clock.waitForTimer(in: .hours(2))
            #expect(store.calls(of: .claim) == 1, "the first look")
            for number in 1...5 {
                let handle = try await harness.client.enqueue(Chore(number: number))
                #expect(await events.end() == .succeeded)
                let record = try await handle.record(parts: .attempts)
                #expect(record.state == .succeeded)
                #expect(record.epoch == 1)
            }
            #expect(store.calls(of: .claim) == 1)
            #expect(store.calls(of: .insert) == 5)
            #expect(store.calls(of: .settle) == 5)
        }
    }

    @Test("what does not fit into the free slots waits for a claim, and nothing runs twice")
    func tooMany() async throws {
        let gate = Gate()
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        let harness = harness(slots: 2, over: store) { if $0.number == 1 { await gate.wait() } }
        let events = EventWait(harness.events)
        try await harness.withWorker { worker in
            await clock.waitForTimer(in: .hours(2))
            let handles = try await harness.client.enqueue(contentsOf: (1...6).map(Chore.init))
            for _ in 2...6 { #expect(await events.end() == .succeeded) }
            #expect(store.calls(of: .claim) > 1)
            #expect(worker.health.running == 1)
            gate.open()
            #expect(await events.end() == .succeeded)
            for handle in handles { #expect(try await handle.record().epoch == 1) }
        }
    }

    @Test("an offered slot comes back when the insert fails, is later, or is of a name the worker does not know")
    func unused() async throws {
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        let harness = harness(slots: 1, over: store)
        let events = EventWait(harness.events)
        store.plan(.fail(StoreError(.invalid, "refused as planned")), for: .insert, number: 1)
        try await harness.withWorker { worker in
            await clock.waitForTimer(in: .hours(2))
            await #expect(throws: StoreError.self) { try await harness.client.enqueue(Chore(number: 1)) }
            try await harness.client.enqueue(Chore(number: 2), options: .delay(.hours(1)))
            await clock.waitForTimer(in: .hours(1))
            #expect(store.calls(of: .claim) == 2, "one that learns of the time")
            try await harness.client.enqueue(Greeting(who: "nobody here"))
            while store.calls(of: .claim) < 3 { await Task.yield() }
            await clock.waitForTimer(in: .hours(1))
            try await harness.client.enqueue(Chore(number: 3))
            #expect(await events.end() == .succeeded)
            #expect(store.calls(of: .claim) == 3, "the only slot was free to be offered again")
            #expect(worker.health.running == 0)
        }
    }
}
