// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

@Suite("A worker rescues the jobs of the dead", .timeLimit(.minutes(3)))
struct RescueTests {
    private let clock = ManualClock()
    private let inner: MemoryStore
    private let store: FaultyStore
    private let harness: ErrandHarness

    init() {
        inner = MemoryStore(clock: clock)
        store = FaultyStore(inner, clock: clock)
        harness = ErrandHarness(clock: clock, store: store, configuration: .jobsOnly) { handlers, _ in
            handlers.add(Chore.self) { _, _ in }
        }
    }

    /// Another worker, which holds a job and says nothing any more.
    private func other() async throws -> (WorkerID, JobID) {
        let job = try harness.client.prepare(Chore(number: 1))
        let worker = harness.client.chance.workerID(at: clock.now)
        let names = [Chore.name: 1]
        _ = try await inner.register(
            WorkerRegistration(id: worker, host: "there", pid: 1, version: "", names: names, slots: [.default: 1])
        )
        let offer = ClaimOffer(worker: worker, names: names, slots: [.default: 1])
        let answer = try #require(try await inner.insert([job], offer: offer).first)
        if case .claimed = answer {} else { Issue.record("the other worker did not get the job") }
        return (worker, job.id)
    }

    @Test("a job of a worker that was killed runs again within 40 s, with the crash written down")
    func killed() async throws {
        let (dead, job) = try await other()
        let events = EventWait(harness.events)
        try await harness.withWorker { worker in
            let killedAt = clock.now
            try await clock.pass(with: worker) {
                try await inner.jobs([job], parts: []).first?.state == .succeeded
            }
            let rescued = await events.next { if case .rescued(let jobs) = $0 { jobs } else { nil } }
            #expect(rescued == [job: .ready])
            let record = try #require(try await inner.jobs([job], parts: .attempts).first)
            let again = try #require(record.startedAt) - killedAt
            #expect(again > .seconds(30) && again <= .seconds(40))
            #expect(record.crashes == 1)
            #expect(record.attempts.map(\.ending) == [.crashed, .succeeded])
            #expect(record.attempts.map(\.worker) == [dead, worker.id])
        }
    }

    @Test("a job that runs for forty leases is never rescued while its worker lives")
    func long() async throws {
        let clock = clock
        let timers = Atomic(0)
        let long = ErrandHarness(clock: clock, store: inner, configuration: .jobsOnly) { handlers, _ in
            handlers.add(Chore.self) { _, _ in
                timers.add(1, ordering: .relaxed)
                try await clock.sleep(for: .minutes(20))
            }
        }
        let rescuer = ErrandHarness(clock: clock, store: store, configuration: .jobsOnly, seed: 2)
        let rescued = Atomic(0)
        let watching = rescuer.events.observe { if case .rescued = $0 { rescued.add(1, ordering: .relaxed) } }
        defer { watching.cancel() }
        try await long.withWorker { worker in
            let job = try await long.client.enqueue(Chore(number: 1), options: EnqueueOptions(timeout: .unlimited))
            while timers.load(ordering: .relaxed) == 0 { await Task.yield() }
            try await rescuer.withWorker { other in
                while !other.health.isReady { await Task.yield() }
                // The long sleep, and the four timers of the other worker.
                await clock.pass(.minutes(20), with: worker, others: 5)
                try await clock.pass(with: worker, others: 4) {
                    try await inner.jobs([job.id], parts: []).first?.state.isFinal == true
                }
            }
            let record = try #require(try await inner.jobs([job.id], parts: .attempts).first)
            #expect(record.state == .succeeded && record.epoch == 1 && record.crashes == 0)
            #expect(rescued.load(ordering: .relaxed) == 0)
        }
    }

    @Test("after an outage the others get their time to beat before silence is taken for death")
    func afterOutage() async throws {
        try await harness.withWorker { worker in
            await clock.waitForTimers(atLeast: 4)
            let (living, job) = try await other()
            store.planAlways(.unavailable)
            await clock.pass(.hours(1), with: worker)
            store.heal()
            try await clock.pass(with: worker) { worker.health.isReady }
            await clock.pass(.seconds(20), with: worker)
            #expect(try await inner.jobs([job], parts: []).first?.state == .running)
            let beat = Beat(worker: living, held: [], accountedThrough: nil)
            #expect(try await inner.beat(beat).isKnown)
            await clock.pass(.seconds(25), with: worker)
            #expect(try await inner.jobs([job], parts: []).first?.state == .running)
            try await clock.pass(with: worker) { try await inner.jobs([job], parts: []).first?.state == .succeeded }
            #expect(try await inner.jobs([job], parts: []).first?.crashes == 1, "then it was silent for too long")
        }
    }
}
