// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import InMemoryLogging
import InMemoryTracing
import Logging
import MetricsTestKit
import Synchronization
import CoreMetrics
import Testing
import Tracing

@testable import Errand

@Suite(.timeLimit(.minutes(3))) struct BackgroundRunnerTests {
    struct Oops: Error {}

    let clock = ManualClock()
    let logs = InMemoryLogHandler()

    var logger: Logger {
        var logger = Logger(label: "test") { _ in logs }
        logger.logLevel = .trace
        logger[metadataKey: "hb.request.id"] = "r1"
        return logger
    }

    func runner(
        mode: BackgroundRunner.Mode = .live,
        _ configure: (inout BackgroundRunnerConfiguration) -> Void = { _ in }
    ) -> BackgroundRunner {
        var configuration = BackgroundRunnerConfiguration()
        configuration.sharedPoolProbe = nil
        configure(&configuration)
        let chance = Chance(SeededGenerator(seed: 1))
        return BackgroundRunner(
            configuration: configuration,
            mode: mode,
            clock: clock,
            chance: chance,
            logger: logger
        )
    }

    func tasks(_ runner: BackgroundRunner) -> BackgroundTasks { BackgroundTasks(runner: runner, logger: logger) }

    func finish(_ tasks: BackgroundTasks, status: Int = 200, _ delivery: BackgroundDelivery = .complete) async throws {
        tasks.responded(status: status)
        try await tasks.handOver(delivery)
    }

    @Test("Tasks run in order, one at a time, after the hand-over; a failure does not stop the next")
    func order() async throws {
        let tasks = tasks(runner())
        let seen = Recorder<Int>()
        let failing = tasks.add("one") {
            seen.record(1)
            throw Oops()
        }
        tasks.add("two") { seen.record(2) }
        let last = tasks.add("three") { seen.record(3) }
        #expect(seen.values.isEmpty)
        try await finish(tasks)
        #expect(await last.outcome.isSuccess)
        #expect(seen.values == [1, 2, 3])
        guard case .failed(let error) = await failing.outcome else {
            Issue.record("not failed")
            return
        }
        #expect(error is Oops)
    }

    @Test("Functions with arguments are called with them")
    func functions() async throws {
        let tasks = tasks(runner())
        let seen = Recorder<String>()
        @Sendable func mail(_ to: String, _ count: Int) async throws { seen.record("\(to) \(count)") }
        @Sendable func note(_ text: String) { seen.record(text) }
        @Sendable func cleanUp() async { seen.record("clean") }
        tasks.add(mail, "a@b.c", 3)
        tasks.add("named", mail, "d@e.f", 4)
        tasks.add(note, "noted")
        let last = tasks.add(cleanUp)
        try await finish(tasks)
        _ = await last.outcome
        #expect(seen.values == ["a@b.c 3", "d@e.f 4", "noted", "clean"])
    }

    @Test(
        "when: decides by the status that goes out, and by the delivery",
        arguments: [
            (200, true, ["success", "always", "delivered"]), (302, true, ["success", "always", "delivered"]),
            (404, true, ["failure", "always"]), (500, true, ["failure", "always"]),
            (200, false, ["success", "always"]),
        ]
    )
    func conditions(status: Int, isComplete: Bool, ran: [String]) async throws {
        let runner = runner(mode: .manual)
        let tasks = tasks(runner)
        tasks.add("success") {}
        tasks.add("failure", when: .failure) {}
        tasks.add("always", when: .always) {}
        tasks.add("delivered", when: .delivered) {}
        try await finish(tasks, status: status, isComplete ? .complete : .failed(Oops()))
        await runner.runPending()
        #expect(runner.finished.filter { $0.outcome.isSuccess }.map(\.name) == ran)
        #expect(logs.count(of: "background tasks dropped") == (ran.contains("delivered") ? 0 : 1))
    }

    @Test("A follower runs only when the one it follows succeeded, else it is skipped and logged")
    func following() async throws {
        let tasks = tasks(runner())
        let good = tasks.add("good") {}
        let bad = tasks.add("bad") { throw Oops() }
        let afterGood = tasks.add("after good", after: good) {}
        let afterBad = tasks.add("after bad", after: bad) { Issue.record("ran") }
        try await finish(tasks)
        #expect(await afterGood.outcome.isSuccess)
        guard case .skipped = await afterBad.outcome else {
            Issue.record("not skipped")
            return
        }
        #expect(logs.count(of: "background task skipped: the one it follows did not succeed") == 1)
    }

    @Test("A task that waits for its retry lets the next one go on, and is tried again on time")
    func retry() async throws {
        let tasks = tasks(runner())
        let seen = Recorder<String>()
        let flaky = tasks.add("flaky", retry: .attempts(2, backoff: .fixed(.seconds(7)))) {
            seen.record("try \(BackgroundTaskContext.current?.attempt ?? 0)")
            if BackgroundTaskContext.current?.attempt == 1 { throw Oops() }
        }
        let next = tasks.add("next") { seen.record("next") }
        try await finish(tasks)
        #expect(await next.outcome.isSuccess)
        await clock.waitForTimer(in: .seconds(7))
        clock.advance(by: .seconds(7))
        #expect(await flaky.outcome.isSuccess)
        #expect(seen.values == ["try 1", "next", "try 2"])
        #expect(logs.count(of: "background task failed and will be tried again") == 1)
    }

    @Test("The last failure is an error in the log with name, request and attempt, and reaches the hook")
    func failure() async throws {
        let reports = Recorder<BackgroundTaskReport>()
        let runner = BackgroundRunner(clock: clock, logger: logger, onFailure: { report, _ in reports.record(report) })
        let tasks = tasks(runner)
        _ = tasks.add("crm") { throw Oops() }
        try await finish(tasks)
        _ = await tasks.start {}.outcome
        while reports.values.isEmpty { await Task.yield() }
        let entry = try #require(logs.entries.first { $0.message == "background task failed" })
        #expect(entry.level == .error)
        #expect(entry.metadata["background.task"] == "crm")
        #expect(entry.metadata["background.attempt"] == "1")
        #expect(entry.metadata["hb.request.id"] == "r1")
        #expect(entry.metadata["error.type"] == "Oops")
        #expect(reports.values.first?.requestID == "r1")
    }

    @Test("A timed-out task is cancelled and fails with a timeout")
    func timeout() async throws {
        let clock = clock
        let tasks = tasks(runner())
        let slow = tasks.add("slow", timeout: .seconds(3)) { try await clock.sleep(for: .hours(9)) }
        try await finish(tasks)
        await clock.waitForTimer(in: .seconds(3))
        await clock.waitForTimer(in: .hours(9))
        clock.advance(by: .seconds(3))
        guard case .failed(let error) = await slow.outcome else {
            Issue.record("not failed")
            return
        }
        #expect((error as? BackgroundError)?.code == .timedOut)
    }

    @Test(
        "Each of several attempts times out at its own time, whichever began first",
        arguments: [[9, 3, 6], [3, 6, 9]]
    )
    func limits(seconds: [Int]) async throws {
        let clock = clock
        let tasks = tasks(runner())
        let handles = seconds.map { seconds in
            tasks.add("\(seconds)", concurrent: true, timeout: .seconds(seconds)) {
                try await clock.sleep(for: .hours(seconds))
            }
        }
        try await finish(tasks)
        for seconds in seconds { await clock.waitForTimer(in: .hours(seconds)) }
        for (handle, seconds) in zip(handles, seconds).sorted(by: { $0.1 < $1.1 }) {
            clock.advance(by: .seconds(2))
            #expect(handle.task.result == nil)
            clock.advance(by: .seconds(1))
            guard case .failed(let error) = await handle.outcome else {
                Issue.record("\(seconds) not failed")
                return
            }
            #expect((error as? BackgroundError)?.code == .timedOut)
        }
    }

    @Test("A task that is cancelled before it has set its limits loses its slot after the grace all the same")
    func lateLimit() async throws {
        let runner = runner()
        let (started, gate) = (Gate(), Gate())
        let handle = runner.start("stubborn") {
            started.open()
            await Task.detached { await gate.wait() }.value
        }
        await started.wait()
        handle.cancel()
        // As if the attempt's own thread came to it only now.
        runner.limit(handle.task, attempt: 1, at: clock.uptime)
        clock.advance(by: runner.configuration.cancellationGrace)
        guard case .abandoned = await handle.outcome else {
            Issue.record("not abandoned")
            return
        }
        gate.open()
    }

    @Test("A task that ignores its cancellation loses its slot after the grace and is counted")
    func stuck() async throws {
        let metrics = TestMetrics()
        let runner = withMetricsFactory(metrics) { self.runner { $0.concurrency = 1 } }
        let tasks = tasks(runner)
        let gate = ThreadGate()
        let stuck = tasks.addBlocking("stuck", timeout: .seconds(3)) { gate.wait() }
        let next = tasks.add("next") {}
        try await finish(tasks)
        await gate.waitUntilHeld()
        clock.advance(by: .seconds(3))
        await clock.waitForTimer(in: .seconds(5))
        clock.advance(by: .seconds(5))
        guard case .abandoned = await stuck.outcome else {
            Issue.record("not abandoned")
            return
        }
        #expect(await next.outcome.isSuccess)
        #expect(logs.count(of: "background task ignores cancellation; its place is given away") == 1)
        #expect(try metrics.expectCounter("background_stuck").values == [1])
        gate.open()
    }

    @Test("A task older than the slow threshold is logged once, and its timeout still counts from the start")
    func slow() async throws {
        let clock = clock
        let tasks = tasks(runner())
        let slow = tasks.add("slow", timeout: .seconds(50)) { try await clock.sleep(for: .hours(9)) }
        try await finish(tasks)
        await clock.waitForTimer(in: .seconds(30))
        await clock.waitForTimer(in: .hours(9))
        clock.advance(by: .seconds(30))
        #expect(logs.count(of: "background task is slow") == 1)
        clock.advance(by: .seconds(20))
        guard case .failed = await slow.outcome else {
            Issue.record("not failed")
            return
        }
    }

    @Test("cancel() stops a running task, and one that waits never starts")
    func cancelling() async throws {
        let clock = clock
        let tasks = tasks(runner())
        let running = tasks.add("running") { try await clock.sleep(for: .hours(9)) }
        let waiting = tasks.add("waiting") { Issue.record("ran") }
        let kept = tasks.add("kept") { Issue.record("ran") }
        kept.cancel()
        try await finish(tasks)
        await clock.waitForTimer(in: .hours(9))
        waiting.cancel()
        running.cancel()
        for handle in [running, waiting, kept] {
            guard case .cancelled = await handle.outcome else {
                Issue.record("\(handle.name) not cancelled")
                return
            }
        }
    }

    @Test("concurrent: steps out of the line; concurrent(max:) widens it")
    func concurrency() async throws {
        let runner = runner()
        let first = tasks(runner)
        let gate = Gate()
        let held = first.add("held") { await gate.wait() }
        let beside = first.add("beside", concurrent: true) {}
        try await finish(first)
        #expect(await beside.outcome.isSuccess)
        gate.open()
        _ = await held.outcome

        let second = tasks(runner)
        second.concurrent(max: 2)
        let other = Gate()
        let one = second.add("one") { await other.wait() }
        let two = second.add("two") { other.open() }
        try await finish(second)
        #expect(await one.outcome.isSuccess)
        #expect(await two.outcome.isSuccess)
    }

    @Test("start begins at once; a late add and an add inside a task run, too")
    func late() async throws {
        let runner = runner()
        let tasks = tasks(runner)
        #expect(await tasks.start("now") {}.outcome.isSuccess)
        let inner = Recorder<BackgroundTaskHandle>()
        let outer = tasks.add("outer") {
            if let handle = BackgroundTasks.current?.add("inner", {}) { inner.record(handle) }
        }
        try await finish(tasks)
        #expect(await outer.outcome.isSuccess)
        let handle = try #require(inner.values.first)
        #expect(await handle.outcome.isSuccess)
        #expect(await tasks.add("late") {}.outcome.isSuccess)
        guard case .dropped(.condition) = await tasks.add("late failure", when: .failure, {}).outcome else {
            Issue.record("not dropped")
            return
        }
        #expect(logs.count(of: "background task added after the response") == 3)
    }

    @Test("More tasks than a request may add still run, with one error in the log")
    func tooMany() async throws {
        let tasks = tasks(runner { $0.tasksPerRequest = 2 })
        let handles = (0..<5).map { number in tasks.add("\(number)") {} }
        try await finish(tasks)
        for handle in handles { #expect(await handle.outcome.isSuccess) }
        #expect(logs.entries.filter { $0.level == .error }.count == 1)
    }

    @Test("A full queue holds the submitter with .wait until there is room")
    func overflowWait() async throws {
        let runner = runner {
            $0.concurrency = 1
            $0.queueLimit = 1
        }
        let gate = Gate()
        let held = runner.start("held") { await gate.wait() }
        let queued = runner.start("queued") {}
        let shed = runner.start("nobody to hold") {}
        guard case .dropped(.queueFull) = await shed.outcome else {
            Issue.record("not dropped")
            return
        }
        let tasks = tasks(runner)
        let third = tasks.add("third") {}
        let isBack = Recorder<Bool>()
        let submitting = Task {
            try await finish(tasks)
            isBack.record(true)
        }
        while runner.state.withLock({ $0.holds.isEmpty }) { await Task.yield() }
        #expect(isBack.values.isEmpty)
        #expect(throws: BackgroundError.self) { try self.tasks(runner).reserve(1) }
        gate.open()
        try await submitting.value
        for handle in [held, queued, third] { #expect(await handle.outcome.isSuccess) }
    }

    @Test("With .shed what does not fit is dropped with an error; with .callerRuns the caller runs it")
    func overflowOthers() async throws {
        for overflow in [BackgroundOverflow.shed, .callerRuns] {
            let runner = runner {
                $0.concurrency = 1
                $0.queueLimit = 1
                $0.overflow = overflow
            }
            let gate = Gate()
            let blocker = runner.start("blocker") { await gate.wait() }
            let first = tasks(runner)
            first.add("fills") {}
            try await finish(first)
            let second = tasks(runner)
            let handle = second.add("late") {}
            try await finish(second)
            if overflow == .shed {
                guard case .dropped(.queueFull) = await handle.outcome else {
                    Issue.record("not dropped")
                    return
                }
            } else {
                #expect(await handle.outcome.isSuccess)
            }
            gate.open()
            _ = await blocker.outcome
        }
    }

    @Test("addBlocking runs on the blocking pool and measures its wait")
    func blocking() async throws {
        let metrics = TestMetrics()
        let runner = withMetricsFactory(metrics) { self.runner() }
        let tasks = tasks(runner)
        let handle = tasks.addBlocking("thumb") {}
        try await finish(tasks)
        #expect(await handle.outcome.isSuccess)
        #expect(try metrics.expectTimer("blocking_pool_wait").values.count == 1)
    }

    @Test("A task that blocks its thread is named by a warning that says what to do")
    func watchdog() async throws {
        let gate = ThreadGate()
        let tasks = tasks(runner())
        let entered = Gate()
        let handle = tasks.add("resize") {
            entered.open()
            gate.wait()
        }
        try await finish(tasks)
        await entered.wait()
        for _ in 0..<4 { clock.advance(by: .milliseconds(50)) }
        let entry = try #require(logs.entries.first { "\($0.message)".contains("held a thread") })
        #expect(entry.level == .warning)
        #expect(entry.metadata["background.task"] == "resize")
        #expect("\(entry.message)".contains("addBlocking"))
        gate.open()
        _ = await handle.outcome
    }

    @Test("Log metadata, trace and metrics carry what was there when the task was added")
    func observability() async throws {
        let metrics = TestMetrics()
        let tracer = InMemoryTracer()
        let (clock, logger) = (clock, logger)
        let runner = withMetricsFactory(metrics) { BackgroundRunner(clock: clock, logger: logger, tracer: tracer) }
        let tasks = tasks(runner)
        let parent = tracer.startSpan("request")
        let handle = ServiceContext.withValue(parent.context) {
            withLogger(mergingMetadata: ["user": "u7"]) { _ in
                tasks.add("crm") { Logger.current.info("inside") }
            }
        }
        parent.end()
        try await finish(tasks)
        #expect(await handle.outcome.isSuccess)
        let span = try #require(tracer.finishedSpans.first { $0.operationName == "background crm" })
        #expect(span.parentSpanID == parent.spanID)
        #expect(span.kind == .internal)
        let counter = try metrics.expectCounter("background_tasks_total", [("name", "crm"), ("outcome", "succeeded")])
        #expect(counter.values == [1])
        #expect(try metrics.expectTimer("background_tasks_wait").values.count == 1)
    }

    @Test("Levels go up and come back down, failures and drops are counted")
    func levels() async throws {
        let metrics = TestMetrics()
        let runner = withMetricsFactory(metrics) { self.runner { $0.concurrency = 1 } }
        let tasks = tasks(runner)
        let gate = Gate()
        let entered = Gate()
        tasks.add("running") {
            entered.open()
            await gate.wait()
        }
        let last = tasks.add("queued") { throw Oops() }
        tasks.add("dropped", when: .failure) {}
        try await finish(tasks)
        await entered.wait()
        #expect(try metrics.expectMeter("background_tasks_running").lastValue == 1)
        #expect(try metrics.expectMeter("background_tasks_queued").lastValue == 1)
        gate.open()
        _ = await last.outcome
        #expect(try metrics.expectMeter("background_tasks_running").lastValue == 0)
        #expect(try metrics.expectMeter("background_tasks_queued").lastValue == 0)
        let failed = try metrics.expectCounter("background_tasks_total", [("name", "queued"), ("outcome", "failed")])
        #expect(failed.values == [1])
        let dropped = try metrics.expectCounter("background_tasks_dropped_total", [("reason", "condition")])
        #expect(dropped.values == [1])
    }

    @Test("Code inside a task logs with the request's id, the task's name and its attempt")
    func insideLogger() async throws {
        let tasks = tasks(runner())
        let handle = tasks.add("crm") { Logger.current.info("inside") }
        try await finish(tasks)
        _ = await handle.outcome
        let entry = try #require(logs.entries.first { $0.message == "inside" })
        #expect(entry.metadata["hb.request.id"] == "r1")
        #expect(entry.metadata["background.task"] == "crm")
        #expect(entry.metadata["background.attempt"] == "1")
        #expect(entry.metadata["background.id"] != nil)
    }

    @Test("With .link the span starts a trace of its own that links to the request's")
    func linkedTrace() async throws {
        let tracer = InMemoryTracer()
        var configuration = BackgroundRunnerConfiguration()
        configuration.trace = .link
        let runner = BackgroundRunner(configuration: configuration, clock: clock, logger: logger, tracer: tracer)
        let tasks = tasks(runner)
        let parent = tracer.startSpan("request")
        let handle = ServiceContext.withValue(parent.context) { tasks.add("crm") {} }
        try await finish(tasks)
        _ = await handle.outcome
        let span = try #require(tracer.finishedSpans.first { $0.operationName == "background crm" })
        #expect(span.parentSpanID == nil)
        #expect(span.links.count == 1)
    }

    @Test("Modes: immediate runs before the hand-over returns and can rethrow, manual waits, discard drops")
    func modes() async throws {
        let immediate = runner(mode: .immediate)
        let first = tasks(immediate)
        first.add("good") {}
        first.add("bad", attempts: 2) { throw Oops() }
        try await finish(first)
        #expect(immediate.finished.map(\.name) == ["good", "bad"])
        #expect(immediate.failures.map(\.name) == ["bad"])
        #expect(immediate.failures.first?.attempts == 2)

        let rethrowing = runner(mode: .immediate(rethrow: true))
        let second = tasks(rethrowing)
        second.add("bad") { throw Oops() }
        await #expect(throws: Oops.self) { try await finish(second) }

        let manual = runner(mode: .manual)
        let third = tasks(manual)
        third.add("later") {}
        try await finish(third)
        #expect(manual.pending == ["later"])
        #expect(manual.finished.isEmpty)
        #expect(await manual.runPending() == 1)
        #expect(manual.finished.map(\.name) == ["later"])

        let discarding = runner(mode: .discard)
        let fourth = tasks(discarding)
        let handle = fourth.add("never") { Issue.record("ran") }
        try await finish(fourth)
        guard case .dropped(.discarded) = await handle.outcome else {
            Issue.record("not dropped")
            return
        }
    }

    @Test("Without a wrapper the task runs at once under the fallback runner")
    func fallback() async {
        #expect(await BackgroundTasks.fallback(logger: logger).add("orphan") {}.outcome.isSuccess)
    }
}

extension InMemoryLogHandler {
    func count(of message: Logger.Message) -> Int { entries.filter { $0.message == message }.count }
}
