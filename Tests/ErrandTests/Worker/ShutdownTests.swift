// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

@Suite("Stopping a worker", .timeLimit(.minutes(3)))
struct ShutdownTests {
    @Test("jobs that can finish do; the rest are ready again with the attempt given back")
    func steps() async throws {
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let clock = ManualClock()
        let sawShutdown = Mutex(false)
        let harness = ErrandHarness(clock: clock) { handlers, _ in
            handlers.add(Greeting.self) { _, context in
                for await _ in gate { break }
                sawShutdown.withLock { $0 = context.isShuttingDown }
                return "done"
            }
            handlers.add(Chore.self) { _, _ in try await clock.sleep(for: .days(1)) }
        }
        let events = EventWait(harness.events)
        let worker = harness.worker()
        let running = Task { try await worker.run() }
        let quick = try await harness.client.enqueue(Greeting(who: "x"))
        let slow = try await harness.client.enqueue(Chore(number: 1))
        _ = await events.start()
        _ = await events.start()
        let late = try await harness.client.enqueue(Chore(number: 2), options: .delay(.seconds(1)))

        worker.stopClaiming()
        #expect(!worker.health.isReady)
        open.yield()
        #expect(await events.end() == .succeeded)
        #expect(sawShutdown.withLock { $0 }, "the handler could see that the worker stops")
        await clock.waitForTimer(in: .seconds(18))
        clock.advance(by: .seconds(18))
        #expect(await events.end() == .ready)
        try await running.value

        #expect(try await quick.record().state == .succeeded)
        let released = try await slow.record(parts: .attempts)
        #expect(released.state == .ready)
        #expect(released.attempt == 0, "the attempt is given back")
        #expect(released.failures == 0)
        #expect(released.releases == 1)
        #expect(released.attempts.map(\.ending) == [.released])
        #expect(try await late.record().attempt == 0, "nothing is claimed after the signal")
        #expect(try await harness.store.workers().isEmpty)
    }

    @Test("a handler that ignores its cancellation cannot hold the worker: its job is given back and it returns")
    func stubborn() async throws {
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let clock = ManualClock()
        let harness = ErrandHarness(clock: clock) { handlers, _ in
            handlers.add(Chore.self) { _, _ in await Task.detached { for await _ in gate { break } }.value }
        }
        let events = EventWait(harness.events)
        let worker = harness.worker()
        let running = Task { try await worker.run() }
        let handle = try await harness.client.enqueue(Chore(number: 1))
        _ = await events.start()
        worker.stopClaiming()
        await clock.waitForTimer(in: .seconds(18))
        clock.advance(by: .seconds(18))
        await clock.waitForTimer(in: .seconds(5))
        clock.advance(by: .seconds(5))
        #expect(await events.end() == .ready)
        try await running.value
        let record = try await handle.record()
        #expect(record.state == .ready)
        #expect(record.attempt == 0)
        open.finish()
    }

    @Test("a second signal gives everything back at once")
    func secondSignal() async throws {
        let clock = ManualClock()
        let harness = ErrandHarness(clock: clock) { handlers, _ in
            handlers.add(Chore.self) { _, _ in try await clock.sleep(for: .days(1)) }
        }
        let events = EventWait(harness.events)
        let worker = harness.worker()
        let running = Task { try await worker.run() }
        let handle = try await harness.client.enqueue(Chore(number: 1))
        _ = await events.start()
        worker.stopClaiming()
        running.cancel()
        try await running.value
        #expect(try await handle.record().state == .ready)
        #expect(try await handle.record().attempt == 0)
    }

    @Test("a job type with a longer finish time extends the budget")
    func finishWithin() async throws {
        struct Long: Job {
            static let name: JobName = "long"
            static let finishWithin: Duration? = .minutes(10)
        }
        let clock = ManualClock()
        let harness = ErrandHarness(clock: clock) { handlers, _ in
            handlers.add(Long.self) { _, _ in try await clock.sleep(for: .minutes(9)) }
        }
        let events = EventWait(harness.events)
        let worker = harness.worker()
        let running = Task { try await worker.run() }
        let handle = try await harness.client.enqueue(Long())
        _ = await events.start()
        await clock.waitForTimer(in: .minutes(9))
        worker.stopClaiming()
        await clock.waitForTimer(in: .minutes(10))
        clock.advance(by: .minutes(9))
        try await running.value
        #expect(try await handle.record().state == .succeeded)
    }

    @Test("a job with a longer finish time extends the budget of the others only as long as it runs")
    func finishWithinEnded() async throws {
        struct Long: Job {
            static let name: JobName = "long"
            static let finishWithin: Duration? = .minutes(10)
        }
        let clock = ManualClock()
        let harness = ErrandHarness(clock: clock) { handlers, _ in
            handlers.add(Long.self) { _, _ in try await clock.sleep(for: .seconds(30)) }
            handlers.add(Chore.self) { _, _ in try await clock.sleep(for: .hours(9)) }
        }
        let events = EventWait(harness.events)
        let worker = harness.worker()
        let running = Task { try await worker.run() }
        try await harness.client.enqueue(Long())
        let chore = try await harness.client.enqueue(Chore(number: 1))
        for _ in 0..<2 { _ = await events.start() }
        await clock.waitForTimer(in: .seconds(30))
        await clock.waitForTimer(in: .hours(9))
        worker.stopClaiming()
        await clock.waitForTimer(in: .minutes(10))
        clock.advance(by: .seconds(30))
        #expect(await events.end() == .succeeded)
        #expect(await events.end() == .ready)
        try await running.value
        #expect(try await chore.record().releases == 1)
    }

    @Test("a store that hangs cannot hold the worker beyond its budget")
    func hangingStore() async throws {
        let clock = ManualClock()
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        let harness = ErrandHarness(clock: clock, store: store) { handlers, _ in
            handlers.add(Chore.self) { _, _ in }
        }
        let events = EventWait(harness.events)
        let worker = harness.worker()
        let running = Task { try await worker.run() }
        try await harness.client.enqueue(Chore(number: 1))
        #expect(await events.end() == .succeeded)
        store.planAlways(.delay(.days(1)), for: .retire)
        worker.stopClaiming()
        await clock.waitForTimer(in: .days(1))
        clock.advance(by: .seconds(26))
        try await running.value
    }

    @Test(
        "settings that make no sense are refused with the setting's name",
        arguments: [
            "concurrency", "readAhead", "threads", "fenceAfter", "deadAfter", "slots", "weight", "shutdown",
        ]
    )
    func settings(_ setting: String) async throws {
        var configuration = WorkerConfiguration()
        switch setting {
        case "concurrency": configuration.concurrency = 0
        case "readAhead": configuration.readAhead = -1
        case "threads": configuration.threads = 0
        case "fenceAfter": configuration.fenceAfter = .seconds(6)
        case "deadAfter": configuration.deadAfter = .seconds(20)
        case "slots": configuration.queues["a"] = .init(slots: 0)
        case "weight": configuration.queues["a"] = .init(weight: 0)
        default: configuration.shutdown.cancelAfter = .seconds(60)
        }
        let harness = ErrandHarness(configuration: configuration)
        let error = await #expect(throws: ErrandError.self) { try await harness.worker().run() }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains(setting) == true)
    }
}
