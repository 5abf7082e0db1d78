// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("A worker says how it is", .timeLimit(.minutes(3)))
struct HealthTests {
    @Test("it is ready from its registration until it is told to stop, and knows when the store last answered")
    func ready() async throws {
        let clock = ManualClock()
        var configuration = ErrandHarness.patient
        configuration.beatInterval = .minutes(3)
        configuration.pollInterval = .hours(5)
        configuration.idlePollInterval = .hours(5)
        let harness = ErrandHarness(clock: clock, configuration: configuration)
        let worker = harness.worker()
        #expect(!worker.health.isReady)
        #expect(worker.health.lastAnswerAge == nil)
        let running = Task { try await worker.run() }
        await clock.waitForTimer(in: .hours(5))
        await clock.waitForTimer(in: .minutes(3))
        #expect(worker.health.isReady)
        #expect(worker.health.lastAnswerAge == .zero)
        clock.advance(by: .minutes(2))
        #expect(worker.health.lastAnswerAge == .minutes(2))
        clock.advance(by: .minutes(1))
        await clock.waitForTimer(in: .minutes(3))
        #expect(worker.health.lastAnswerAge == .zero, "the beat was answered")
        worker.stopClaiming()
        #expect(!worker.health.isReady)
        try await running.value
    }

    @Test(
        "with three handlers that ignore their end, or a tenth of the slots, it asks for a restart, until they end",
        arguments: [(100, 3), (20, 2), (10, 1)]
    )
    func zombies(_ slots: Int, _ enough: Int) async throws {
        let clock = ManualClock()
        let gates = (0..<enough).map { _ in Gate() }
        var configuration = ErrandHarness.patient
        configuration.concurrency = slots
        configuration.grace = .milliseconds(1700)
        let harness = ErrandHarness(clock: clock, configuration: configuration) { handlers, _ in
            handlers.add(Chore.self) { job, _ in await Task.detached { await gates[job.number].wait() }.value }
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { worker in
            for number in 0..<enough {
                #expect(!worker.health.shouldRestart)
                let handle = try await harness.client.enqueue(Chore(number: number))
                _ = await events.start()
                #expect(worker.health.running == 1)
                try await handle.cancel(reason: "enough")
                await clock.waitForTimer(in: .milliseconds(1700))
                clock.advance(by: .milliseconds(1700))
                #expect(await events.end() == .cancelled)
                #expect(worker.health.zombies == number + 1)
                #expect(worker.health.running == 0)
            }
            #expect(worker.health.shouldRestart)
            for gate in gates { gate.open() }
            while worker.health.zombies > 0 { await Task.yield() }
            #expect(!worker.health.shouldRestart)
        }
    }
}
