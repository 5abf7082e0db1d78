// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

@Suite("A worker survives that its store is away", .timeLimit(.minutes(3)))
struct OutageTests {
    private let clock = ManualClock()
    private let store: FaultyStore

    init() {
        store = FaultyStore(MemoryStore(clock: clock), clock: clock)
    }

    @Test("over an hour it says once that the store is lost and once that it is back, settles what ended, and goes on")
    func hours() async throws {
        let runs = Atomic(0)
        let gate = Gate()
        var configuration = WorkerConfiguration.jobsOnly
        // Maintenance is the first to find the store back, and must not take this worker for dead.
        configuration.maintenanceInterval = .milliseconds(3700)
        let harness = ErrandHarness(clock: clock, store: store, configuration: configuration) { handlers, _ in
            handlers.add(Chore.self) { _, _ in runs.add(1, ordering: .relaxed) }
            handlers.add(Greeting.self) { _, _ in
                runs.add(1, ordering: .relaxed)
                await gate.wait()
                return "kept"
            }
        }
        let changes = Mutex<[String]>([])
        let watching = harness.events.observe { event in
            switch event {
            case .storeLost: changes.withLock { $0.append("lost") }
            case .storeBack: changes.withLock { $0.append("back") }
            default: break
            }
        }
        defer { watching.cancel() }
        let events = EventWait(harness.events)
        try await harness.withWorker { worker in
            let kept = try await harness.client.enqueue(Greeting(who: "x"))
            _ = await events.start()
            let old = worker.id
            store.planAlways(.unavailable)
            gate.open()
            await clock.waitForTimer(in: .milliseconds(100))
            await clock.pass(.hours(1), with: worker, others: 1)
            #expect(changes.withLock { $0 } == ["lost"])
            #expect(worker.health.isStoreLost)
            #expect(!worker.health.isReady)
            #expect(worker.health.lastAnswerAge.map { $0 >= .hours(1) - .seconds(5) } == true)
            #expect(worker.health.running == 0, "the slot does not wait for the store")

            store.heal()
            await clock.pass(.seconds(10), with: worker)
            #expect(await events.end() == .succeeded)
            #expect(changes.withLock { $0 } == ["lost", "back"])
            let record = try await kept.record(parts: .all)
            #expect(record.crashes == 0)
            #expect(String(decoding: record.result?.bytes ?? [], as: UTF8.self) == #""kept""#)
            #expect(worker.id == old)
            #expect(worker.health.isReady)
            #expect(worker.health.lastAnswerAge.map { $0 <= .seconds(5) } == true)

            try await harness.client.enqueue(Chore(number: 1))
            #expect(await events.end() == .succeeded)
            #expect(runs.load(ordering: .relaxed) == 2, "each ran once")
        }
    }

    @Test("what a cancelled attempt came to is not written in a tight loop while the store is away")
    func noSpin() async throws {
        let clock = clock
        let harness = ErrandHarness(clock: clock, store: store) { handlers, _ in
            handlers.add(Chore.self) { _, _ in try await clock.sleep(for: .hours(1)) }
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { _ in
            let handle = try await harness.client.enqueue(Chore(number: 1))
            _ = await events.start()
            store.planAlways(.unavailable, for: .settle)
            try await handle.cancel(reason: "enough")
            while store.calls(of: .settle) == 0 { await Task.yield() }
            for _ in 0..<1000 { await Task.yield() }
            #expect(store.calls(of: .settle) == 1, "time stands still, so there is no second try")
            await clock.waitForTimer(in: .milliseconds(100))
            store.heal()
            clock.advance(by: .milliseconds(100))
            #expect(await events.end() == .cancelled)
        }
    }

    @Test("after each of fifty outages at random moments jobs start again within ten seconds")
    func often() async throws {
        let inner = MemoryStore(clock: clock)
        let store = FaultyStore(inner, clock: clock)
        let harness = ErrandHarness(clock: clock, store: store, configuration: .jobsOnly) { handlers, _ in
            handlers.add(Chore.self) { _, _ in }
        }
        // Another process, which the outage spares: this worker has no part in its inserts.
        let other = SpyStore(inner, isDeaf: true)
        let client = JobClient(store: other, clock: clock, chance: harness.client.chance)
        var generator = SeededGenerator(seed: 50)
        try await harness.withWorker { worker in
            for number in 0..<50 {
                await clock.pass(.milliseconds(Int.random(in: 0...7000, using: &generator)), with: worker)
                store.planAlways(.unavailable)
                let job = try await client.enqueue(Chore(number: number))
                await clock.pass(.milliseconds(Int.random(in: 0...40_000, using: &generator)), with: worker)
                let healedAt = clock.now
                store.heal()
                try await clock.pass(with: worker) {
                    try await inner.jobs([job.id], parts: []).first?.state.isFinal == true
                }
                let record = try #require(try await inner.jobs([job.id], parts: []).first)
                #expect(record.state == .succeeded, "outage \(number)")
                #expect(record.startedAt.map { $0 - healedAt <= .seconds(10) } == true, "outage \(number)")
            }
            await clock.pass(.seconds(10), with: worker)
            #expect(!worker.health.isStoreLost && worker.health.isReady && worker.health.zombies == 0)
        }
    }

    @Test("a worker that starts while the store is away registers when it is back")
    func start() async throws {
        store.planAlways(.unavailable, for: .register)
        let harness = ErrandHarness(clock: clock, store: store) { handlers, _ in
            handlers.add(Chore.self) { _, _ in }
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { worker in
            try await harness.client.enqueue(Chore(number: 1))
            for wait: Duration in [.milliseconds(100), .milliseconds(200), .milliseconds(400)] {
                await clock.waitForTimer(in: wait)
                #expect(!worker.health.isReady)
                #expect(worker.health.isStoreLost)
                clock.advance(by: wait)
            }
            await clock.waitForTimer(in: .milliseconds(800))
            store.heal()
            clock.advance(by: .milliseconds(800))
            #expect(await events.end() == .succeeded)
            #expect(worker.health.isReady)
            #expect(!worker.health.isStoreLost)
        }
    }

    @Test("a note that a store in trouble did not take is written later and does not disturb a newer attempt")
    func lateNote() async throws {
        let gate = Gate()
        let reason = Mutex<CancellationReason?>(nil)
        store.plan(.unavailable, for: .note, number: 1)
        let harness = ErrandHarness(clock: clock, store: store) { handlers, _ in
            handlers.add(Chore.self) { _, context in
                guard context.attempt > 1 else {
                    context.log("first")
                    throw JobControl.retry(after: .zero)
                }
                await gate.wait()
                reason.withLock { $0 = context.cancellationReason }
            }
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { _ in
            let handle = try await harness.client.enqueue(Chore(number: 1))
            #expect(await events.start() == 1)
            #expect(await events.start() == 2)
            clock.advance(by: .seconds(2))
            while store.calls(of: .note) < 2 { await Task.yield() }
            for _ in 0..<100 { await Task.yield() }
            gate.open()
            let success = await events.next { event in
                if case .ended(let id, _, _, .succeeded, _) = event { id } else { nil }
            }
            #expect(success == handle.id)
            #expect(reason.withLock { $0 } == nil)
            #expect(try await handle.record().attempt == 2)
        }
    }
}
