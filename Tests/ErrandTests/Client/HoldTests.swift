// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Holding jobs", .timeLimit(.minutes(3)))
struct HoldTests {
    @Test("a held job does not start and says who set it aside and why; released, it runs")
    func held() async throws {
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in } }
        let job = try await harness.client.enqueue(Chore(number: 1))
        let other = try await harness.client.enqueue(Chore(number: 2))
        let report = try await harness.client.hold([job.id], reason: "ask the customer", actor: "ada")
        #expect(report.changed == [job.id])
        #expect(try await harness.runDue() == [other.id])
        let record = try await job.record()
        #expect(record.state == .ready)
        #expect(record.hold == Hold(actor: "ada", reason: "ask the customer", since: harness.clock.now))
        #expect(try await harness.client.release([job.id], reason: "answered").changed == [job.id])
        #expect(try await harness.client.release([job.id], reason: "again").unchanged == 1)
        #expect(try await harness.runDue() == [job.id])
    }

    @Test("a hold keeps state, time, priority and attempts")
    func kept() async throws {
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in throw Trouble() } }
        let retrying = try await harness.client.enqueue(Chore(number: 1), options: .priority(.high))
        try await harness.runDue()
        let delayed = try await harness.client.enqueue(Chore(number: 2), options: .delay(.minutes(5)))
        let ids = [retrying.id, delayed.id]
        let before = try await harness.store.jobs(ids, parts: [])
        try await harness.client.hold(ids, reason: "r")
        harness.clock.advance(by: .minutes(1))
        #expect(try await harness.runDue().isEmpty)
        try await harness.client.release(ids, reason: "r")
        for (before, after) in zip(before, try await harness.store.jobs(ids, parts: [])) {
            var after = after
            #expect(after.revision == before.revision + 2)
            after.revision = before.revision
            #expect(after == before)
        }
        #expect(try await harness.runDue() == [retrying.id])
    }

    @Test("a hold for a time ends by itself and the job runs")
    func lasting() async throws {
        var configuration = ErrandHarness.patient
        // Only maintenance has timers of 7 s, so that the test can wait for it.
        configuration.maintenanceInterval = .seconds(7)
        let harness = ErrandHarness(configuration: configuration) { handlers, _ in
            handlers.add(Chore.self) { _, _ in }
        }
        let handle = try await harness.client.enqueue(Chore(number: 1))
        try await harness.client.hold([handle.id], lasting: .seconds(10), reason: "not yet")
        #expect(try await handle.record().hold?.until == harness.clock.now + .seconds(10))
        try await harness.withWorker { _ in
            await harness.clock.waitForTimer(in: .seconds(7))
            harness.clock.advance(by: .seconds(7))
            await harness.clock.waitForTimer(in: .seconds(7))
            #expect(try await handle.record().state == .ready, "not before its time")
            harness.clock.advance(by: .seconds(7))
            let record = try await handle.finished(timeout: .days(1))
            #expect(record.state == .succeeded)
            #expect(record.hold == nil)
        }
    }

    @Test("a job that runs or is done cannot be held")
    func refused() async throws {
        let gate = Gate()
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in await gate.wait() } }
        let events = EventWait(harness.events)
        try await harness.withWorker { _ in
            let handle = try await harness.client.enqueue(Chore(number: 1))
            _ = await events.start()
            let running = try await harness.client.hold([handle.id], reason: "r")
            #expect(running.refused == [handle.id: "it is running"])
            gate.open()
            _ = await events.end()
            let done = try await harness.client.hold([handle.id], reason: "r")
            #expect(done.refused == [handle.id: "it is succeeded"])
        }
    }
}
