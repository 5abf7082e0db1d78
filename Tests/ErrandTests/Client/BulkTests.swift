// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Changing many jobs", .timeLimit(.minutes(3)))
struct BulkTests {
    @Test("an edit by filter changes all pending jobs it means, in bites, and no running one")
    func edit() async throws {
        let gate = Gate()
        let clock = ManualClock()
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        let harness = ErrandHarness(clock: clock, store: store) { handlers, _ in
            handlers.add(Greeting.self) { _, _ in
                await gate.wait()
                return "hello"
            }
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { _ in
            let running = try await harness.client.enqueue(Greeting(who: "Ada"))
            _ = await events.start()
            let pending = try await harness.client.enqueue(contentsOf: (0..<1500).map(Chore.init))
            let other = try await harness.client.enqueue(Chore(number: 1), options: EnqueueOptions(queue: "other"))
            let report = try await harness.client.operate(
                .edit(JobEdit(queue: "night", priority: .low, tags: ["moved"])),
                matching: JobFilter(queues: [.default]),
                reason: "too much by day"
            )
            #expect(Set(report.changed) == Set(pending.map(\.id)))
            #expect(report.refused == [running.id: "it is running"])
            #expect(store.calls(of: .operate) == 2)
            let moved = JobFilter(states: [.ready], queues: ["night"], tags: ["moved"])
            #expect(try await harness.client.count(moved).value == 1500)
            #expect(try await pending[7].record().priority == .low)
            #expect(try await other.record().queue == "other")
            gate.open()
            _ = await events.end()
        }
    }

    @Test("jobs that are stored after the call are left alone")
    func fence() async throws {
        let harness = ErrandHarness()
        try await harness.client.enqueue(Chore(number: 1))
        try await harness.client.operate(.hold(lasting: nil), matching: JobFilter(), reason: "stop")
        harness.clock.advance(by: .seconds(1))
        try await harness.client.enqueue(Chore(number: 2))
        let held = JobFilter(isHeld: true)
        #expect(try await harness.client.count(held).value == 1)
    }

    @Test("a dry run says what would change and changes nothing")
    func dryRun() async throws {
        let harness = ErrandHarness()
        let ids = try await harness.client.enqueue(contentsOf: (0..<1200).map(Chore.init)).map(\.id)
        let report = try await harness.client.operate(
            .delete,
            matching: JobFilter(names: ["chore"]),
            reason: "tidy",
            isDryRun: true
        )
        #expect(Set(report.changed) == Set(ids) && report.changed.count == 1200)
        let named = try await harness.client.operate(.cancel, on: [ids[0]], reason: "tidy", isDryRun: true)
        #expect(named.changed == [ids[0]])
        #expect(try await harness.client.counts().count(.ready) == 1200)
        #expect(try await harness.store.audit(limit: 9).isEmpty)
    }

    @Test("an operation that is repeated with its idempotency key answers the same and changes nothing again")
    func repeated() async throws {
        let harness = ErrandHarness()
        let ids = try await harness.client.enqueue(contentsOf: (0..<2).map(Chore.init)).map(\.id)
        func hold(_ key: String) async throws -> OperationReport {
            try await harness.client.operate(.hold(lasting: nil), on: ids, reason: "stop", idempotencyKey: key)
        }
        let first = try await hold("click-1")
        try await harness.client.release(ids, reason: "go on")
        #expect(try await hold("click-1") == first)
        #expect(try await harness.client.count(JobFilter(isHeld: true)).value == 0)
        #expect(try await hold("click-2").changed == ids)
        #expect(try await harness.client.count(JobFilter(isHeld: true)).value == 2)
    }

    @Test("a change by filter that was cut off between its bites goes on where it stopped when it is repeated")
    func cutOff() async throws {
        let clock = ManualClock()
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        let harness = ErrandHarness(clock: clock, store: store)
        let ids = try await harness.client.enqueue(contentsOf: (0..<2500).map(Chore.init)).map(\.id)
        func cancel() async throws -> OperationReport {
            let all = JobFilter(names: ["chore"])
            return try await harness.client.operate(.cancel, matching: all, reason: "wrong", idempotencyKey: "k")
        }
        store.plan(.unavailable, for: .operate, number: 2)
        await #expect(throws: StoreError.self) { try await cancel() }
        #expect(try await harness.client.counts().count(.cancelled) == 1000)
        let report = try await cancel()
        #expect(Set(report.changed) == Set(ids) && report.changed.count == 2500)
        #expect(try await harness.store.audit(limit: 9).map(\.changed) == [500, 1000, 1000])
        #expect(try await cancel() == report)
    }

    @Test("an edit to a payload over the client's limit is refused on every road, before anything changes")
    func tooLarge() async throws {
        let clock = ManualClock()
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        let client = JobClient(store: store, clock: clock)
        let handle = try await client.enqueue(Chore(number: 1))
        let edit = JobEdit(payload: Payload(bytes: Array(repeating: 32, count: Payload.defaultLimit + 1)))
        for attempt in 0..<3 {
            let error = await #expect(throws: ErrandError.self) {
                switch attempt {
                case 0: try await client.edit([handle.id], edit, reason: "r")
                case 1: try await client.operate(.edit(edit), matching: JobFilter(), reason: "r")
                default: try await client.operate(.editAndRetry(edit), on: [handle.id], reason: "r")
                }
            }
            #expect(error?.code == .invalidJob)
        }
        #expect(store.calls(of: .operate) == 0)
    }
}
