// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Enqueueing over a taken key", .timeLimit(.minutes(3)))
struct UniqueReplaceTests {
    /// The newer one is less urgent in everything, so that what is not named stays as it was.
    private func replace(_ fields: ReplaceableFields, in harness: ErrandHarness) async throws -> JobHandle<Chore> {
        let first = try await harness.client.enqueue(
            Chore(number: 1),
            options: EnqueueOptions(
                priority: .high,
                start: .after(.seconds(60)),
                unique: UniqueRule(key: "k"),
                tags: ["old"],
                headers: ["h": "old"]
            )
        )
        let second = try await harness.client.enqueue(
            Chore(number: 2),
            options: EnqueueOptions(
                priority: .low,
                start: .after(.seconds(120)),
                unique: UniqueRule(key: "k", conflict: .replacePending(fields)),
                tags: ["new"],
                headers: ["h": "new"]
            )
        )
        #expect(second.id == first.id)
        #expect(second.kind == .replaced && second.wasDuplicate)
        return second
    }

    @Test(
        "replacing takes the named fields of the newer job and no others",
        arguments: [[], .payload, .runAt, .priority, .labels, [.payload, .labels], .all] as [ReplaceableFields]
    )
    func namedFields(_ fields: ReplaceableFields) async throws {
        let harness = ErrandHarness()
        let handle = try await replace(fields, in: harness)
        let stored = try await harness.store.enqueued(Chore.self)
        let record = try await handle.record()
        #expect(stored.map(\.job.number) == [fields.contains(.payload) ? 2 : 1])
        #expect(record.runAt == harness.clock.now + .seconds(fields.contains(.runAt) ? 120 : 60))
        #expect(record.priority == (fields.contains(.priority) ? .low : .high))
        #expect(record.tags == [fields.contains(.labels) ? "new" : "old"])
        #expect(record.headers == ["h": fields.contains(.labels) ? "new" : "old"])
    }

    @Test("of what is not replaced the more urgent stays: the higher priority and the earlier time")
    func urgency() async throws {
        let harness = ErrandHarness()
        for conflict in [UniqueRule.Conflict.replacePending(.payload), .returnExisting] {
            let key = "\(conflict)"
            let late = EnqueueOptions(priority: .low, start: .after(.hours(1)), unique: UniqueRule(key: key))
            let soon = EnqueueOptions(priority: .urgent, unique: UniqueRule(key: key, conflict: conflict))
            let first = try await harness.client.enqueue(Chore(number: 1), options: late)
            try await harness.client.enqueue(Chore(number: 2), options: soon)
            let record = try await first.record()
            #expect(record.state == .ready)
            #expect(record.priority == .urgent)
        }
    }

    @Test("a job that runs is never replaced, the newer one is answered with it")
    func running() async throws {
        let gate = Gate()
        let ran = Recorder<Int>()
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { job, _ in
                await gate.wait()
                ran.record(job.number)
            }
        }
        let events = EventWait(harness.events)
        let options = EnqueueOptions.unique(key: "k", conflict: .replacePending(.all))
        try await harness.withWorker { _ in
            let first = try await harness.client.enqueue(Chore(number: 1), options: options)
            _ = await events.start()
            let second = try await harness.client.enqueue(Chore(number: 2), options: options)
            #expect(second.id == first.id && second.kind == .duplicate)
            gate.open()
            #expect(try await second.finished(timeout: .minutes(1)).state == .succeeded)
        }
        try await harness.runDue()
        #expect(ran.values == [1])
    }

    @Test("enqueues during a run make one more run after it, with the newest payload")
    func runAgain() async throws {
        let gate = Gate()
        let ran = Recorder<Int>()
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { job, _ in
                await gate.wait()
                ran.record(job.number)
            }
        }
        let events = EventWait(harness.events)
        let options = EnqueueOptions.unique(key: "k", conflict: .runAgainAfter)
        try await harness.withWorker { _ in
            let first = try await harness.client.enqueue(Chore(number: 1), options: options)
            _ = await events.start()
            let followUp = try await harness.client.enqueue(Chore(number: 2), options: options)
            #expect(followUp.id != first.id && followUp.kind == .stored)
            #expect(try await followUp.record().state == .waiting)
            for number in 3...4 {
                let later = try await harness.client.enqueue(Chore(number: number), options: options)
                #expect(later.id == followUp.id && later.kind == .replaced)
            }
            gate.open()
            #expect(try await followUp.finished(timeout: .minutes(1)).state == .succeeded)
        }
        #expect(try await harness.runDue().isEmpty)
        #expect(ran.values == [1, 4])
    }

    @Test("an enqueue that wants another run after this one only renews the payload of a job that has not started")
    func runAgainPending() async throws {
        let ran = Recorder<Int>()
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { job, _ in ran.record(job.number) }
        }
        let options = EnqueueOptions.unique(key: "k", conflict: .runAgainAfter)
        for number in 1...3 { try await harness.client.enqueue(Chore(number: number), options: options) }
        try await harness.runDue()
        #expect(ran.values == [3])
    }
}
