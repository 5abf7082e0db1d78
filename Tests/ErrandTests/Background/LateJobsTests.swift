// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import InMemoryLogging
import Logging
import Testing

@testable import Errand

/// Jobs that a background task enqueues: stored at once, whatever the runner is busy with.
@Suite(.timeLimit(.minutes(3))) struct LateJobsTests {
    struct Oops: Error {}

    let clock = ManualClock()
    let logs = InMemoryLogHandler()

    var logger: Logger {
        var logger = Logger(label: "test") { _ in logs }
        logger.logLevel = .trace
        return logger
    }

    func runner(
        mode: BackgroundRunner.Mode = .live,
        _ configure: (inout BackgroundRunnerConfiguration) -> Void = { _ in },
        insert: @escaping @Sendable ([NewJob]) async throws -> Void
    ) -> BackgroundRunner {
        var configuration = BackgroundRunnerConfiguration()
        configuration.sharedPoolProbe = nil
        configure(&configuration)
        return BackgroundRunner(
            store: BackgroundJobStore(client: JobClient(store: MemoryStore(clock: clock)), insert: insert),
            configuration: configuration,
            mode: mode,
            clock: clock,
            chance: Chance(SeededGenerator(seed: 1)),
            logger: logger,
            tracer: nil,
            onFailure: nil
        )
    }

    /// The tasks of a request that was answered.
    func answered(_ runner: BackgroundRunner, adding work: (@Sendable () async -> Void)? = nil) async throws
        -> BackgroundTasks
    {
        let tasks = BackgroundTasks(runner: runner, logger: logger)
        if let work { tasks.add("work", work) }
        tasks.responded(status: 200)
        try await tasks.handOver(.complete)
        return tasks
    }

    static func stage(_ tasks: BackgroundTasks? = .current) {
        var generator = SeededGenerator(seed: 1)
        let job = NewJob(id: JobID(at: .epoch, using: &generator), name: "late", payload: Payload(bytes: []))
        tasks?.stage(when: .success) { job }
    }

    func isDropped(_ name: String) -> Bool {
        logs.entries.contains {
            $0.message == "background task dropped" && $0.metadata["background.task"] == .string(name)
        }
    }

    @Test("A task that enqueues during the drain has its job stored, tried again if need be, before it is over")
    func drain() async throws {
        let attempts = Recorder<[JobName]>()
        let runner = runner {
            $0.concurrency = 1
        } insert: { jobs in
            attempts.record(jobs.map(\.name))
            if attempts.values.count == 1 { throw Oops() }
        }
        let gate = Gate()
        _ = try await answered(runner) {
            await gate.wait()
            Self.stage()
        }
        let service = Task { try await runner.run() }
        runner.signals.continuation.yield(.graceful)
        await clock.waitForTimer(in: .seconds(20))
        gate.open()
        try await service.value
        #expect(attempts.values == [["late"], ["late"]])
        #expect(!isDropped("enqueue"))
        #expect(!logs.entries.contains { $0.message == "background tasks lost at shutdown" })
    }

    @Test(
        "A job is stored at once although the queue is full and every slot is taken",
        arguments: [BackgroundOverflow.shed, .wait, .callerRuns]
    )
    func fullQueue(overflow: BackgroundOverflow) async throws {
        let written = Recorder<[JobName]>()
        let runner = runner {
            $0.concurrency = 1
            $0.queueLimit = 1
            $0.overflow = overflow
        } insert: {
            written.record($0.map(\.name))
        }
        let (mayStage, mayEnd) = (Gate(), Gate())
        _ = try await answered(runner) {
            await mayStage.wait()
            Self.stage()
            await mayEnd.wait()
        }
        let queued = runner.start("queued") {}
        mayStage.open()
        // The task above holds the only slot until the job is there.
        while written.values.isEmpty && !isDropped("enqueue") { await Task.yield() }
        #expect(written.values == [["late"]])
        mayEnd.open()
        #expect(await queued.outcome.isSuccess)
    }

    @Test("Modes for tests keep or discard tasks, never jobs", arguments: [BackgroundRunner.Mode.manual, .discard])
    func modes(mode: BackgroundRunner.Mode) async throws {
        let written = Recorder<[JobName]>()
        let runner = runner(mode: mode) { written.record($0.map(\.name)) }
        let tasks = try await answered(runner)
        Self.stage(tasks)
        while runner.finished.isEmpty && runner.pending.isEmpty { await Task.yield() }
        #expect(runner.pending.isEmpty)
        #expect(runner.finished.map(\.outcome.label) == ["succeeded"])
        #expect(written.values == [["late"]])
    }

    @Test("A job that comes when the runner has ended is refused with an error, not kept for ever")
    func tooLate() async throws {
        let runner = runner { _ in Issue.record("stored") }
        let tasks = try await answered(runner)
        let service = Task { try await runner.run() }
        runner.signals.continuation.yield(.graceful)
        try await service.value
        Self.stage(tasks)
        let entry = try #require(logs.entries.first { $0.message == "background task dropped" })
        #expect(entry.level == .error)
        #expect(entry.metadata["background.reason"] == "shutdown")
        #expect(entry.metadata["background.task"] == "enqueue")
    }
}
