// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import InMemoryLogging
import Logging
import Synchronization
import Testing

@testable import Errand

@Suite(.timeLimit(.minutes(3))) struct BackgroundShutdownTests {
    struct Oops: Error {}

    let clock = ManualClock()
    let logs = InMemoryLogHandler()

    func runner(_ configure: (inout BackgroundRunnerConfiguration) -> Void = { _ in }) -> BackgroundRunner {
        var configuration = BackgroundRunnerConfiguration()
        configuration.sharedPoolProbe = nil
        configure(&configuration)
        var logger = Logger(label: "test") { _ in logs }
        logger.logLevel = .trace
        logger[metadataKey: "hb.request.id"] = "r1"
        return BackgroundRunner(configuration: configuration, clock: clock, logger: logger)
    }

    @Test("An idle runner stops at once")
    func idle() async throws {
        let runner = runner()
        let service = Task { try await runner.run() }
        runner.signals.continuation.yield(.graceful)
        try await service.value
        guard case .dropped(.shutdown) = await runner.start("after", {}).outcome else {
            Issue.record("ran")
            return
        }
    }

    @Test("A drain lets running and queued tasks finish, and loses nothing")
    func drain() async throws {
        let runner = runner { $0.concurrency = 1 }
        let gate = Gate()
        let running = runner.start("running") { await gate.wait() }
        let queued = runner.start("queued") {}
        let service = Task { try await runner.run() }
        runner.signals.continuation.yield(.graceful)
        await clock.waitForTimer(in: .seconds(20))
        guard case .dropped(.shutdown) = await runner.start("late", {}).outcome else {
            Issue.record("ran")
            return
        }
        gate.open()
        try await service.value
        #expect(await running.outcome.isSuccess)
        #expect(await queued.outcome.isSuccess)
    }

    @Test("A retry delay becomes one immediate last attempt")
    func lastChance() async throws {
        let runner = runner()
        let attempts = Recorder<Int>()
        let failing = runner.start("failing", attempts: 9) {
            attempts.record(BackgroundTaskContext.current?.attempt ?? 0)
            throw Oops()
        }
        while clock.timerCount == 0 || attempts.values.isEmpty { await Task.yield() }
        let service = Task { try await runner.run() }
        runner.signals.continuation.yield(.graceful)
        try await service.value
        guard case .failed = await failing.outcome else {
            Issue.record("not failed")
            return
        }
        #expect(attempts.values == [1, 2])
    }

    @Test("After the budget running tasks are cancelled, queued ones dropped, and one error names them all")
    func budget() async throws {
        let clock = clock
        let runner = runner { $0.concurrency = 1 }
        let running = runner.start("running") { try await clock.sleep(for: .hours(9)) }
        let queued = runner.start("queued") { Issue.record("ran") }
        await clock.waitForTimer(in: .hours(9))
        let service = Task { try await runner.run() }
        runner.signals.continuation.yield(.graceful)
        await clock.waitForTimer(in: .seconds(20))
        clock.advance(by: .seconds(20))
        try await service.value
        guard case .cancelled = await running.outcome else {
            Issue.record("not cancelled")
            return
        }
        guard case .dropped(.shutdown) = await queued.outcome else {
            Issue.record("not dropped")
            return
        }
        let entry = try #require(logs.entries.first { $0.message == "background tasks lost at shutdown" })
        #expect(entry.level == .error)
        #expect(entry.metadata["background.count"] == "2")
        let names = "\(try #require(entry.metadata["background.task"]))"
        #expect(names.contains("running cancelled"))
        #expect(names.contains("queued dropped"))
    }

    @Test("A task that ignores cancellation does not keep the runner beyond the grace")
    func stubborn() async throws {
        let runner = runner()
        let gate = Gate()
        let stubborn = runner.start("stubborn") { await Task.detached { await gate.wait() }.value }
        let service = Task { try await runner.run() }
        runner.signals.continuation.yield(.cancelled)
        await clock.waitForTimers(atLeast: 2)
        while !service.isCancelled, runner.state.withLock({ !$0.machine.isIdle }) {
            clock.advance(by: .seconds(5))
            await Task.yield()
        }
        try await service.value
        guard case .abandoned = await stubborn.outcome else {
            Issue.record("not abandoned")
            return
        }
        gate.open()
    }

    @Test("Cancelling the service goes to the last step at once")
    func cancelled() async throws {
        let clock = clock
        let runner = runner()
        let running = runner.start("running") { try await clock.sleep(for: .hours(9)) }
        await clock.waitForTimer(in: .hours(9))
        let service = Task { try await runner.run() }
        service.cancel()
        try await service.value
        guard case .cancelled = await running.outcome else {
            Issue.record("not cancelled")
            return
        }
    }

    @Test("The time the server used up is taken from the drain")
    func sharedDeadline() async throws {
        let clock = clock
        let runner = runner()
        _ = runner.start("running") { try await clock.sleep(for: .hours(9)) }
        await clock.waitForTimer(in: .hours(9))
        let service = Task { try await runner.run() }
        runner.serverIsStopping()
        clock.advance(by: .seconds(12))
        runner.signals.continuation.yield(.graceful)
        await clock.waitForTimer(in: .seconds(8))
        clock.advance(by: .seconds(8))
        try await service.value
    }

    @Test("When the server never finishes, the runner ends at the deadline and says so")
    func overdue() async throws {
        let runner = runner()
        let service = Task { try await runner.run() }
        runner.serverIsStopping()
        clock.advance(by: .seconds(20))
        let error = await #expect(throws: BackgroundError.self) { try await service.value }
        #expect(error?.code == .shutdownDeadline)
    }
}
