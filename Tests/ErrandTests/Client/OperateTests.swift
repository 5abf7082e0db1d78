// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Changing stored jobs", .timeLimit(.minutes(3)))
struct OperateTests {
    @Test("an operation on several jobs says which changed, which were like that and which refused, and who did it")
    func report() async throws {
        let harness = ErrandHarness { handlers, _ in handlers.add(Greeting.self) { _, _ in "hello" } }
        let done = try await harness.client.enqueue(Greeting(who: "Ada"))
        try await harness.runDue()
        let chores = try await harness.client.enqueue(contentsOf: (0..<2).map(Chore.init)).map(\.id)
        try await harness.client.cancel([chores[0]], reason: "early")
        let unknown = JobID(high: 1, low: 1)
        let report = try await harness.client.cancel(
            chores + [done.id, unknown],
            reason: "wrong month",
            actor: "grace"
        )
        #expect(report.changed == [chores[1]])
        #expect(report.unchanged == 1)
        #expect(report.refused == [done.id: "it is already succeeded", unknown: "there is no such job"])
        let line = try #require(try await harness.store.audit(limit: 1).first)
        #expect([line.actor, line.action, line.target, line.reason] == ["grace", "cancel", "4 jobs", "wrong month"])
        #expect(line.changed == 1 && line.at == harness.clock.now)
    }

    @Test("changes are attributed to the client's actor unless the call names another")
    func actor() async throws {
        let harness = ErrandHarness()
        var configuration = JobClientConfiguration()
        configuration.actor = "dashboard"
        let client = JobClient(store: harness.store, configuration: configuration, clock: harness.clock)
        let handle = try await client.enqueue(Chore(number: 1))
        try await client.hold([handle.id], reason: "r")
        try await client.release([handle.id], reason: "r", actor: "ada")
        try await client.pause(.everything, reason: "r")
        try await client.operate(.cancel, matching: JobFilter(), reason: "r")
        #expect(try await harness.store.audit(limit: 9).map(\.actor) == ["dashboard", "dashboard", "ada", "dashboard"])
    }

    @Test("a retry runs a failed job again in a new run with a clean count, and a delayed one now")
    func retry() async throws {
        let attempts = Recorder<[Int]>()
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, context in
                attempts.record([context.run, context.attempt])
                if context.run == 1 { throw JobControl.fail(reason: "no") }
            }
        }
        let failed = try await harness.client.enqueue(Chore(number: 1))
        try await harness.runDue()
        let delayed = try await harness.client.enqueue(Greeting(who: "Ada"), options: .delay(.hours(1)))
        let report = try await harness.client.retry([failed.id, delayed.id], reason: "fixed")
        #expect(report.changed == [failed.id, delayed.id])
        #expect(try await delayed.record().state == .ready)
        try await harness.runDue()
        let record = try await failed.record(parts: .attempts)
        #expect(record.state == .succeeded && record.run == 2 && record.failures == 0)
        #expect(record.attempts.map(\.run) == [1, 2], "the history of the first run stays")
        #expect(attempts.values == [[1, 1], [2, 1]])
    }

    @Test("many retries can be spread over a time")
    func spread() async throws {
        let harness = ErrandHarness()
        let ids = try await harness.client.enqueue(contentsOf: (0..<4).map(Chore.init)).map(\.id)
        try await harness.client.cancel(ids, reason: "outage")
        try await harness.client.retry(ids, spread: .seconds(40), reason: "it is over")
        let records = try await harness.store.jobs(ids, parts: [])
        #expect(records.map { $0.runAt - harness.clock.now } == [0, 10, 20, 30].map { .seconds($0) })
    }

    @Test("a job runs again with other arguments, in one act, and only if nobody changed it meanwhile")
    func editAndRetry() async throws {
        let ran = Recorder<Int>()
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { job, _ in
                ran.record(job.number)
                if job.number < 0 { throw JobControl.fail(reason: "negative") }
            }
        }
        let handle = try await harness.client.enqueue(Chore(number: -1))
        try await harness.runDue()
        let seen = try await handle.record().revision
        try await harness.client.edit([handle.id], JobEdit(tags: ["looked-at"]), reason: "somebody else")
        let late = try await harness.client.retry(
            handle.id,
            with: Chore(number: 5),
            expectedRevision: seen,
            reason: "typo"
        )
        #expect(late.refused[handle.id] == "it changed since you looked: revision \(seen + 1), expected \(seen)")
        #expect(try await harness.runDue().isEmpty)
        let again = try await harness.client.retry(
            handle.id,
            with: Chore(number: 6),
            expectedRevision: seen + 1,
            reason: "typo"
        )
        #expect(again.changed == [handle.id])
        try await harness.runDue()
        #expect(ran.values == [-1, 6])
        #expect(try await handle.record().tags == ["looked-at"])
    }

    @Test("deleted jobs are gone with their key, running ones are not deleted")
    func delete() async throws {
        let gate = Gate()
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in await gate.wait() } }
        let events = EventWait(harness.events)
        let unique = EnqueueOptions.unique(key: "k")
        try await harness.withWorker { _ in
            let running = try await harness.client.enqueue(Chore(number: 1))
            _ = await events.start()
            let pending = try await harness.client.enqueue(Greeting(who: "Ada"), options: unique)
            let report = try await harness.client.delete([running.id, pending.id], reason: "tidy")
            #expect(report.changed == [pending.id])
            #expect(report.refused[running.id] == "it is running; cancel it first")
            #expect(try await harness.client.job(pending.id) == nil)
            #expect(try await harness.client.enqueue(Greeting(who: "Ada"), options: unique).kind == .stored)
            gate.open()
            _ = await events.end()
        }
    }
}
