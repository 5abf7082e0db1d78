// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
public import ErrandCore
public import Logging
import Synchronization
public import Tracing

/// Runs background tasks: closures that start after a response has been written.
///
/// Tasks live in memory. When the process dies they are lost, and nobody will know: work that must not be
/// lost is a job (`context.background.enqueue`). What a task can count on: its failure touches no other task,
/// it is retried, timed, bounded in number, run away from the threads that answer requests, finished or
/// reported at shutdown, and visible in logs, metrics and traces.
///
/// Add it to the application's services, so that shutdown waits for it: `Application(router:background:)` of
/// ErrandHummingbird does. Without ``run()`` tasks run all the same, but nothing waits for them at the end.
public final class BackgroundRunner: Sendable {
    /// What becomes of tasks; everything but ``live`` is for tests.
    public struct Mode: Sendable, Hashable {
        enum Kind: Hashable {
            case live
            case immediate(rethrow: Bool)
            case manual
            case discard
        }

        let kind: Kind

        /// They run after the response, as described everywhere.
        public static let live = Mode(kind: .live)
        /// They run in order before the response is returned, with no waits between attempts.
        ///
        /// What they did is in ``BackgroundRunner/finished``, errors in ``BackgroundRunner/failures``.
        public static let immediate = immediate(rethrow: false)
        /// They are kept until ``BackgroundRunner/runPending()``.
        public static let manual = Mode(kind: .manual)
        /// They never run.
        public static let discard = Mode(kind: .discard)

        /// As ``immediate``; with `rethrow` the first error of a task also makes the request fail.
        public static func immediate(rethrow: Bool) -> Mode { Mode(kind: .immediate(rethrow: rethrow)) }
    }

    /// The limits and times.
    public let configuration: BackgroundRunnerConfiguration
    /// What becomes of tasks.
    public let mode: Mode

    let clock: any ErrandClock
    let chance: Chance
    let logger: Logger
    let metrics: BackgroundMetrics
    let tracer: (any Tracer)?
    let jobs: BackgroundJobStore?
    let onFailure: (@Sendable (BackgroundTaskReport, any Error) -> Void)?
    let timerNumber = Atomic<Int>(0)
    let limits = LimitTimer()
    let pool: ThreadPool
    let blockingPool: ThreadPool
    let probe: SharedPoolProbe?
    let state: BusyMutex<State>
    let signals = AsyncStream.makeStream(of: ShutdownSignal.self, bufferingPolicy: .bufferingOldest(64))
    private let nextID = Atomic<UInt64>(0)

    /// A runner without a job store: `enqueue` in a request makes its response fail.
    /// - Parameters:
    ///   - configuration: Limits and times.
    ///   - mode: What becomes of tasks.
    ///   - clock: Where timeouts, retries and the drain take their time from.
    ///   - chance: Where the jitter of retries comes from.
    ///   - logger: For what belongs to no request.
    ///   - tracer: Who records spans; the process's one when `nil`.
    ///   - onFailure: Called when a task's last attempt has failed, on the thread it ran on. Must not block.
    public convenience init(
        configuration: BackgroundRunnerConfiguration = BackgroundRunnerConfiguration(),
        mode: Mode = .live,
        clock: any ErrandClock = SystemClock.shared,
        chance: Chance = .system,
        logger: Logger = Logger(label: "errand.background"),
        tracer: (any Tracer)? = nil,
        onFailure: (@Sendable (BackgroundTaskReport, any Error) -> Void)? = nil
    ) {
        self.init(
            store: nil,
            configuration: configuration,
            mode: mode,
            clock: clock,
            chance: chance,
            logger: logger,
            tracer: tracer,
            onFailure: onFailure
        )
    }

    /// A runner whose requests can also store jobs: `context.background.enqueue(job)`.
    /// - Parameters:
    ///   - jobs: Where they are stored.
    ///   - configuration: Limits and times.
    ///   - mode: What becomes of tasks. Jobs are stored in every mode.
    ///   - clock: Where timeouts, retries and the drain take their time from.
    ///   - chance: Where the jitter of retries comes from.
    ///   - logger: For what belongs to no request.
    ///   - tracer: Who records spans; the process's one when `nil`.
    ///   - onFailure: Called when a task's last attempt has failed, on the thread it ran on. Must not block.
    public convenience init(
        jobs: JobClient,
        configuration: BackgroundRunnerConfiguration = BackgroundRunnerConfiguration(),
        mode: Mode = .live,
        clock: any ErrandClock = SystemClock.shared,
        chance: Chance = .system,
        logger: Logger = Logger(label: "errand.background"),
        tracer: (any Tracer)? = nil,
        onFailure: (@Sendable (BackgroundTaskReport, any Error) -> Void)? = nil
    ) {
        self.init(
            store: BackgroundJobStore(client: jobs) { _ = try await jobs.enqueue(prepared: $0) },
            configuration: configuration,
            mode: mode,
            clock: clock,
            chance: chance,
            logger: logger,
            tracer: tracer,
            onFailure: onFailure
        )
    }

    init(
        store: BackgroundJobStore?,
        configuration: BackgroundRunnerConfiguration,
        mode: Mode,
        clock: any ErrandClock,
        chance: Chance,
        logger: Logger,
        tracer: (any Tracer)?,
        onFailure: (@Sendable (BackgroundTaskReport, any Error) -> Void)?
    ) {
        self.configuration = configuration
        self.mode = mode
        self.clock = clock
        self.logger = logger
        self.tracer = tracer
        self.jobs = store
        self.onFailure = onFailure
        self.chance = chance
        let metrics = BackgroundMetrics(factory: MetricsSystem.factory)
        self.metrics = metrics
        let watch = BlockingWatch(threshold: configuration.blockingThreshold, clock: clock) { name, held in
            logger.warning(
                "background task held a thread without suspending; use addBlocking",
                metadata: [BackgroundLog.task: "\(name)", BackgroundLog.held: "\(held)"]
            )
        }
        pool = ThreadPool(
            threads: configuration.executorThreads,
            name: "background",
            clock: clock,
            watch: watch,
            nap: .microseconds(200)
        )
        blockingPool = ThreadPool(threads: configuration.blockingThreads, name: "blocking", clock: clock)
        probe = configuration.sharedPoolProbe.map { interval in
            SharedPoolProbe(clock: clock, interval: interval) { wait in
                metrics.waitedForSharedPool(wait)
                guard wait >= configuration.sharedPoolThreshold else { return }
                logger.warning(
                    "tasks wait long for Swift's shared pool: handlers block or compute on it",
                    metadata: [BackgroundLog.wait: "\(wait)"]
                )
            }
        }
        let machine = BackgroundRunnerStateMachine(
            concurrency: configuration.concurrency,
            queueLimit: configuration.queueLimit,
            overflow: configuration.overflow
        )
        state = BusyMutex(State(machine: machine, isRecording: mode != .live))
    }

    /// Whether tasks are handed over before the response is returned: in the modes for tests, so that a test
    /// that has its response sees what the request did.
    package var runsBeforeResponse: Bool { mode != .live }

    func makeID() -> UInt64 { nextID.add(1, ordering: .relaxed).newValue }

    /// Runs `work` now, supervised as any background task, for code that answers no request: WebSocket handlers,
    /// start-up, other services.
    ///
    /// In a request use ``BackgroundTasks/start(_:attempts:retry:timeout:file:line:_:)``.
    ///
    /// With nobody to hold, a full queue means that the task is dropped; its outcome says so.
    /// - Parameters:
    ///   - name: For logs, metrics and traces; by default the file and line.
    ///   - attempts: How often it is tried, at least 1.
    ///   - retry: Attempts and waits together; wins over `attempts`.
    ///   - timeout: How long an attempt may take.
    ///   - file: For the default name.
    ///   - line: For the default name.
    ///   - work: What to do.
    /// - Returns: A handle.
    @discardableResult
    public func start(
        _ name: String? = nil,
        attempts: Int = 1,
        retry: RetryPolicy? = nil,
        timeout: BackgroundTimeout = .standard,
        file: String = #fileID,
        line: Int = #line,
        _ work: @escaping @Sendable () async throws -> Void
    ) -> BackgroundTaskHandle {
        let task = BackgroundTask(
            id: makeID(),
            name: BackgroundTasks.name(name, file, line),
            options: BackgroundTask.Options(when: .always, retry: retry ?? .attempts(attempts), timeout: timeout),
            logger: Logger.current.label.isEmpty ? logger : Logger.current,
            trace: ServiceContext.current,
            priority: Task.currentPriority,
            scope: nil,
            body: work
        )
        takeNow(BackgroundBatch(tasks: [task], width: 1, reserved: 0, isOverLimit: false, lineLimit: 1), from: .outside)
        return BackgroundTaskHandle(task: task, runner: self)
    }
}
