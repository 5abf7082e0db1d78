// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("A worker clears away what is over", .timeLimit(.minutes(3)))
struct RetentionTests {
    private let clock = ManualClock()
    private let store: SpyStore

    init() {
        store = SpyStore(MemoryStore(clock: clock))
    }

    /// A worker that keeps finished jobs as the policy says; maintenance is its only frequent timer.
    private func harness(_ retention: RetentionPolicy) -> ErrandHarness {
        var configuration = ErrandHarness.patient
        configuration.retention = retention
        configuration.beatInterval = .hours(71)
        configuration.pollInterval = .hours(73)
        configuration.idlePollInterval = .hours(73)
        return ErrandHarness(clock: clock, store: store, configuration: configuration) { handlers, _ in
            handlers.add(Chore.self) { job, _ in if job.number < 0 { throw JobControl.fail(reason: "bad number") } }
            handlers.add(Greeting.self) { job, _ in "hello \(job.who)" }
        }
    }

    /// One round of a running worker's maintenance, from sleep to sleep.
    private func round(of worker: Worker) async {
        while !worker.health.isReady { await Task.yield() }
        await clock.pass(.seconds(5), with: worker)
    }

    /// How many rows each bite of pruning took.
    private var bites: [Int] {
        store.maintenance.compactMap { if case .prune = $0.task { $0.report.affected } else { nil } }
    }

    @Test("finished jobs go when they are old enough, each state at its own age, a bite at a time")
    func age() async throws {
        let harness = harness(RetentionPolicy(ages: [.succeeded: .hours(1)], maximum: nil, bite: 10))
        let jobs = (0..<35).map(Chore.init)
        try await harness.client.enqueue(contentsOf: jobs)
        let failed = try await harness.client.enqueue(Chore(number: -1))
        try await harness.runDue()
        clock.advance(by: .minutes(59))
        try await harness.withWorker { worker in
            await round(of: worker)
            #expect(bites == [0])
            await clock.pass(.minutes(1), with: worker)
            #expect(bites.filter { $0 > 0 } == [10, 10, 10, 5])
            try await #expect(harness.client.counts().count() == 1)
            try await #expect(failed.record().state == .failed, "no age was given for failed ones")
        }
    }

    @Test("of more finished jobs than are kept the oldest go, in each queue and state")
    func count() async throws {
        let harness = harness(RetentionPolicy(ages: [:], maximum: 3, bite: 2))
        var handles: [JobHandle<Chore>] = []
        for number in 0..<8 {
            handles.append(try await harness.client.enqueue(Chore(number: number)))
            try await harness.runDue()
            clock.advance(by: .seconds(1))
        }
        try await harness.withWorker { worker in
            await round(of: worker)
            #expect(bites == [2, 2, 1])
            let left = try await harness.client.jobs().jobs.map(\.id)
            #expect(left == handles.suffix(3).reversed().map(\.id))
        }
    }

    @Test("a result can be read until its time is over, then it is swept and the job stays")
    func results() async throws {
        let harness = harness(RetentionPolicy())
        let options = EnqueueOptions(resultTTL: .minutes(2))
        let handle = try await harness.client.enqueue(Greeting(who: "Ada"), options: options)
        let kept = try await harness.client.enqueue(Greeting(who: "Bob"))
        let never = try await harness.client.enqueue(Greeting(who: "Eve"), options: EnqueueOptions(resultTTL: .zero))
        try await harness.runDue()
        let gone = await #expect(throws: ErrandError.self) { try await never.result(timeout: .seconds(1)) }
        #expect(gone?.code == .resultGone)
        clock.advance(by: .minutes(2) - .microseconds(1))
        #expect(try await handle.result(timeout: .seconds(1)) == "hello Ada")
        clock.advance(by: .microseconds(1))
        let over = await #expect(throws: ErrandError.self) { try await handle.result(timeout: .seconds(1)) }
        #expect(over?.code == .resultGone)
        try await harness.withWorker { worker in
            await round(of: worker)
            let swept = store.maintenance.compactMap { $0.task == .sweep ? $0.report.affected : nil }
            #expect(swept == [1], "the result of Ada")
            try await #expect(handle.record(parts: .result).state == .succeeded)
            try await #expect(kept.result(timeout: .seconds(1)) == "hello Bob")
        }
    }

    @Test("what only costs space is swept once a minute, what others wait for in every round")
    func pace() async throws {
        let harness = harness(RetentionPolicy())
        try await harness.withWorker { worker in
            for _ in 0..<25 { await round(of: worker) }
            func rounds(of task: MaintenanceTask) -> Int { store.maintenance.count { $0.task == task } }
            #expect(rounds(of: .expire) == 25)
            #expect(rounds(of: .rescue(silence: harness.configuration.deadAfter, sparing: worker.id)) == 25)
            #expect(rounds(of: .sweep) == 3)
        }
    }
}
