// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import ErrandCore
import ErrandTesting
import InMemoryLogging
import Logging
import MetricsTestKit
import Testing

@testable import Errand

/// Tasks that the connection runs itself because the queue is full.
@Suite(.timeLimit(.minutes(3))) struct CallerRunsTests {
    let clock = ManualClock()
    let logs = InMemoryLogHandler()
    /// Open it to let go of the task that makes the queue full.
    let mayEnd = Gate()

    var logger: Logger {
        var logger = Logger(label: "test") { _ in logs }
        logger.logLevel = .trace
        return logger
    }

    /// A runner whose only slot is taken.
    func fullRunner() async -> BackgroundRunner {
        var configuration = BackgroundRunnerConfiguration()
        configuration.sharedPoolProbe = nil
        configuration.concurrency = 1
        configuration.queueLimit = 0
        configuration.overflow = .callerRuns
        let runner = BackgroundRunner(configuration: configuration, clock: clock, logger: logger)
        let (started, mayEnd) = (Gate(), mayEnd)
        runner.start("full", timeout: nil) {
            started.open()
            await mayEnd.wait()
        }
        await started.wait()
        return runner
    }

    func submit(_ tasks: BackgroundTasks) -> Task<Void, any Error> {
        tasks.responded(status: 200)
        return Task { try await tasks.handOver(.complete) }
    }

    @Test("A task that ignores its cancellation holds its connection for timeout and grace and no longer")
    func stuck() async throws {
        let metrics = TestMetrics()
        let runner = await withMetricsFactory(metrics) { await fullRunner() }
        let gate = ThreadGate()
        let tasks = BackgroundTasks(runner: runner, logger: logger)
        let stuck = tasks.addBlocking("stuck", attempts: 3, timeout: .seconds(3)) { gate.wait() }
        let next = tasks.add("next") {}
        let submitting = submit(tasks)
        await gate.waitUntilHeld()
        await clock.waitForTimer(in: .seconds(3))
        clock.advance(by: .seconds(3))
        await clock.waitForTimer(in: .seconds(5))
        clock.advance(by: .seconds(5))
        try await submitting.value
        guard case .abandoned = await stuck.outcome else {
            Issue.record("not abandoned")
            return
        }
        #expect(await next.outcome.isSuccess)
        #expect(logs.count(of: "background task ignores cancellation; its place is given away") == 1)
        #expect(try metrics.expectCounter("background_stuck").values == [1])
        gate.open()
        mayEnd.open()
    }

    @Test("One that obeys fails with a timeout")
    func timeout() async throws {
        let clock = clock
        let tasks = BackgroundTasks(runner: await fullRunner(), logger: logger)
        let slow = tasks.add("slow", timeout: .seconds(3)) { try await clock.sleep(for: .hours(9)) }
        let submitting = submit(tasks)
        await clock.waitForTimer(in: .seconds(3))
        await clock.waitForTimer(in: .hours(9))
        clock.advance(by: .seconds(3))
        try await submitting.value
        guard case .failed(let error) = await slow.outcome else {
            Issue.record("not failed")
            return
        }
        #expect((error as? BackgroundError)?.code == .timedOut)
        mayEnd.open()
    }

    @Test("cancel() ends one that runs and lets the next go on, and one that has not begun never does")
    func cancelling() async throws {
        let clock = clock
        let tasks = BackgroundTasks(runner: await fullRunner(), logger: logger)
        let endless = tasks.add("endless", attempts: 3, timeout: nil) { try await clock.sleep(for: .hours(9)) }
        let waiting = tasks.add("waiting") { Issue.record("ran") }
        let last = tasks.add("last") {}
        let submitting = submit(tasks)
        await clock.waitForTimer(in: .hours(9))
        waiting.cancel()
        endless.cancel()
        try await submitting.value
        for handle in [endless, waiting] {
            guard case .cancelled = await handle.outcome else {
                Issue.record("\(handle.name) not cancelled")
                return
            }
        }
        #expect(await last.outcome.isSuccess)
        mayEnd.open()
    }

    @Test("The last step of shutdown cancels it as well, and reports it")
    func shutdown() async throws {
        let clock = clock
        let runner = await fullRunner()
        let tasks = BackgroundTasks(runner: runner, logger: logger)
        let endless = tasks.add("endless", timeout: nil) { try await clock.sleep(for: .hours(9)) }
        let submitting = submit(tasks)
        await clock.waitForTimer(in: .hours(9))
        let service = Task { try await runner.run() }
        runner.signals.continuation.yield(.cancelled)
        try await submitting.value
        guard case .cancelled = await endless.outcome else {
            Issue.record("not cancelled")
            return
        }
        mayEnd.open()
        try await service.value
        let entry = try #require(logs.entries.first { $0.message == "background tasks lost at shutdown" })
        #expect("\(entry.metadata["background.task"] ?? "")".contains("endless cancelled"))
    }
}
