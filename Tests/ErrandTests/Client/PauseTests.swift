// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Pausing", .timeLimit(.minutes(3)))
struct PauseTests {
    private func harness(_ configuration: WorkerConfiguration = ErrandHarness.patient) -> ErrandHarness {
        ErrandHarness(configuration: configuration) { handlers, _ in
            handlers.add(Chore.self) { _, _ in }
            handlers.add(Greeting.self) { _, _ in "hello" }
        }
    }

    @Test(
        "what is paused does not start and says who paused it and why; resumed, it runs",
        arguments: [(Pause.Scope.queue("mail"), false), (.name("chore"), false), (.everything, true)]
    )
    func scopes(_ scope: Pause.Scope, coversOther: Bool) async throws {
        var configuration = ErrandHarness.patient
        configuration.queues = [.default: .init(), "mail": .init()]
        let harness = harness(configuration)
        try await harness.client.pause(scope, reason: "migration", actor: "ada")
        let since = harness.clock.now
        harness.clock.advance(by: .minutes(1))
        let paused = try await harness.client.enqueue(Chore(number: 1), options: EnqueueOptions(queue: "mail"))
        let other = try await harness.client.enqueue(Greeting(who: "Ada"))
        #expect(try await harness.runDue() == (coversOther ? [] : [other.id]))
        #expect(try await paused.record().state == .ready)
        let pause = Pause(scope: scope, actor: "ada", reason: "migration", since: since)
        #expect(try await harness.client.pauses() == [pause])

        try await harness.client.resume(scope, reason: "done", actor: "grace")
        #expect(try await harness.client.pauses().isEmpty)
        #expect(Set(try await harness.runDue()) == (coversOther ? [paused.id, other.id] : [paused.id]))
        let audit = try await harness.store.audit(limit: 2)
        #expect(
            audit.map { "\($0.actor) \($0.action): \($0.reason)" } == ["grace resume: done", "ada pause: migration"]
        )
    }

    @Test("a running worker stops and goes on with a pause, without waiting for its next look")
    func running() async throws {
        let gate = Gate()
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, _ in }
            handlers.add(Greeting.self) { _, _ in
                await gate.wait()
                return "hello"
            }
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { _ in
            let runs = try await harness.client.enqueue(Greeting(who: "Ada"))
            _ = await events.start()
            try await harness.client.pause(.everything, reason: "deploy")
            let waits = try await harness.client.enqueue(Chore(number: 1))
            gate.open()
            #expect(try await runs.result(timeout: .minutes(1)) == "hello", "what runs goes on")
            #expect(try await waits.record().state == .ready)
            try await harness.client.resume(.everything, reason: "deployed")
            // The clock stands still: only the signal can have told the worker.
            #expect(try await waits.finished(timeout: .minutes(1)).state == .succeeded)
        }
    }

    @Test("a pause for a time ends by itself and what waited runs")
    func lasting() async throws {
        var configuration = ErrandHarness.patient
        // Only maintenance has timers of 7 s, so that the test can wait for it.
        configuration.maintenanceInterval = .seconds(7)
        let harness = harness(configuration)
        let handle = try await harness.client.enqueue(Chore(number: 1))
        try await harness.client.pause(.name("chore"), lasting: .seconds(10), reason: "cool down")
        #expect(try await harness.client.pauses().map(\.until) == [harness.clock.now + .seconds(10)])
        try await harness.withWorker { _ in
            await harness.clock.waitForTimer(in: .seconds(7))
            harness.clock.advance(by: .seconds(7))
            await harness.clock.waitForTimer(in: .seconds(7))
            #expect(try await handle.record().state == .ready, "not before its time")
            harness.clock.advance(by: .seconds(7))
            let record = try await handle.finished(timeout: .days(1))
            #expect(record.state == .succeeded)
        }
        #expect(try await harness.client.pauses().isEmpty)
    }

    @Test("pauses of several scopes add up, and each ends alone")
    func several() async throws {
        let harness = harness()
        try await harness.client.pause(.everything, reason: "a")
        try await harness.client.pause(.name("chore"), reason: "b")
        let chore = try await harness.client.enqueue(Chore(number: 1))
        let greeting = try await harness.client.enqueue(Greeting(who: "Ada"))
        try await harness.client.resume(.everything, reason: "c")
        #expect(try await harness.runDue() == [greeting.id])
        try await harness.client.resume(.name("greeting"), reason: "was never paused")
        try await harness.client.resume(.name("chore"), reason: "d")
        #expect(try await harness.runDue() == [chore.id])
    }
}
