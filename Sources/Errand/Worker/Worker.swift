// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import Logging
public import ServiceLifecycle
import Synchronization

/// Claims jobs from a store and runs them.
///
/// A `Service`: give it to a service group, or call ``run()``. One `run()` owns everything the worker does: the
/// claim loop, the heartbeat, maintenance, and the tasks of the jobs. Handlers run on threads of the worker's
/// own, so that one that blocks cannot starve the rest of the process.
///
/// The worker never ends because its store is in trouble: it says so, keeps what finished jobs came to, and goes
/// on when the store is back.
public final class Worker: Service, Sendable {
    let store: any JobStore
    let handlers: JobHandlers
    /// Makes, changes and shows schedules; it runs with the worker. `nil` when ``WorkerConfiguration/scheduler`` is.
    public let scheduler: Scheduler?
    let configuration: WorkerConfiguration
    let logger: Logger
    let clock: any ErrandClock
    let chance: Chance
    let events: EventHub
    let metrics: ErrandMetrics
    let executor: JobExecutor

    let machine: BusyMutex<WorkerStateMachine>
    let vitals: Mutex<Vitals>
    let jobs: RunningJobs
    let notes: NoteBook
    let settleLanes = [SettleLane(), SettleLane()]
    let settleWriter: SettleWriter
    /// Where handlers run.
    let pool: any LaneRunner
    /// The way there, for each job name.
    let lanes: [JobName: WorkLane]
    /// Where claims, settling, maintenance and shutdown run.
    let control: WorkLane
    /// Where beats run: a thread of their own, so that nothing can make the worker miss them.
    let beatLane: WorkLane
    let claimWakeUp: WakeUp
    let startWakeUp = WakeUp()
    let beatWakeUp: WakeUp
    let maintenanceWakeUp: WakeUp
    let shutdownWakeUp: WakeUp
    let hasStopped = Latch()
    private let runners: WorkerRunners

    /// A worker for these handlers. Nothing happens before ``run()``.
    /// - Parameters:
    ///   - store: Where the jobs live; the worker does not close it.
    ///   - handlers: How jobs are done; their names are what it claims.
    ///   - schedules: The program's schedules, which become the store's; `nil` leaves those that are there as they
    ///     are. Every worker decides ticks unless ``WorkerConfiguration/scheduler`` is `nil`.
    ///   - configuration: How it claims, runs and stops.
    ///   - interceptors: Code around every run, the first one outermost.
    ///   - events: Hears what happens; give the client the same one to hear of everything.
    ///   - logger: For what belongs to no job, and, with the job's facts added, for handlers.
    ///   - clock: Measures beats, timeouts and the steps of stopping.
    ///   - chance: Makes the worker's identity and the jitter of retries.
    public convenience init(
        store: any JobStore,
        handlers: JobHandlers,
        schedules: ScheduleSet? = nil,
        configuration: WorkerConfiguration = WorkerConfiguration(),
        interceptors: [any JobInterceptor] = [],
        events: EventHub = EventHub(),
        logger: Logger = Logger(label: "errand.worker"),
        clock: any ErrandClock = SystemClock.shared,
        chance: Chance = .system
    ) {
        self.init(
            store: store,
            handlers: handlers,
            schedules: schedules,
            configuration: configuration,
            interceptors: interceptors,
            events: events,
            logger: logger,
            clock: clock,
            chance: chance,
            runners: nil
        )
    }

    /// The same with somebody else to run its tasks than threads of its own.
    package init(
        store: any JobStore,
        handlers: JobHandlers,
        schedules: ScheduleSet? = nil,
        configuration: WorkerConfiguration,
        interceptors: [any JobInterceptor] = [],
        events: EventHub,
        logger: Logger,
        clock: any ErrandClock,
        chance: Chance,
        runners: WorkerRunners?
    ) {
        self.store = store
        self.handlers = handlers
        self.configuration = configuration
        self.clock = clock
        self.chance = chance
        self.events = events
        let metrics = ErrandMetrics()
        self.metrics = metrics
        let id = chance.workerID(at: clock.now)
        var logger = logger
        logger[metadataKey: LogKeys.worker] = "\(id)"
        self.logger = logger
        executor = JobExecutor(handlers: handlers, interceptors: interceptors)
        scheduler = configuration.scheduler.map { scheduling in
            Scheduler(
                schedules,
                store: store,
                configuration: scheduling,
                events: events,
                logger: logger,
                clock: clock,
                chance: chance
            )
        }

        let wakeUps = (WakeUp(), WakeUp(), WakeUp(), WakeUp())
        (claimWakeUp, beatWakeUp, maintenanceWakeUp, shutdownWakeUp) = wakeUps
        machine = BusyMutex(WorkerStateMachine(configuration, handlers: handlers))
        vitals = Mutex(Vitals(id: id))
        jobs = RunningJobs()
        let mustExit = Flag()
        exitFlag = mustExit
        settleWriter = SettleWriter(store: store, clock: clock, logger: logger, mustExit: { mustExit.isSet })

        let runners = runners ?? .threads(for: configuration, clock: clock, events: events, logger: logger)
        self.runners = runners
        pool = runners.handlers
        lanes = Dictionary(
            uniqueKeysWithValues: handlers.names.keys.map {
                ($0, WorkLane(name: $0.rawValue, pool: runners.handlers))
            }
        )
        control = WorkLane(name: "control", pool: runners.control)
        beatLane = WorkLane(name: "beat", pool: runners.beats)
        notes = NoteBook(store: store, clock: clock, interval: configuration.noteInterval, lane: control)
    }

    /// The worker has to exit, and nothing may be waited for any longer.
    let exitFlag: Flag
    /// Claims have stopped for good; running handlers can see it.
    let drainFlag = Flag()

    /// The worker's identity in the store. Changes when the store declared the worker dead and it came back.
    public var id: WorkerID { vitals.withLock { $0.id } }

    /// Works until graceful shutdown or cancellation, then stops in the steps of ``WorkerShutdown`` and returns.
    /// What it could not finish by then is ready again in the store, with the attempt given back.
    /// - Throws: ``ErrandError`` with code `invalidConfiguration`, also when a schedule of the set has the name of one
    ///   made at run time; nothing else.
    public func run() async throws {
        if let problem = configuration.problem { throw ErrandError(.invalidConfiguration, problem) }
        // A task of its own: the orderly stop must run although this one is cancelled. Its end is awaited through
        // the latch, because a store that hangs may keep it beyond the budget.
        Task(executorPreference: control) {
            await self.serve()
            self.hasStopped.open()
        }
        await withGracefulShutdownHandler {
            await withTaskCancellationHandler {
                await hasStopped.wait()
            } onCancel: {
                self.stop(.now)
            }
        } onGracefulShutdown: {
            self.stop(.gracefully)
        }
        if let error = vitals.withLock({ $0.scheduleError }) { throw error }
    }

    private func serve() async {
        notes.onRefused { [weak self] lease in
            if let self, let job = jobs[lease] { tell(job, .leaseLost) }
        }
        await register()
        let signals = store.hub.subscribe { [weak self] in self?.hear($0) }
        let offers = store.hub.offer(offerSource())
        logger.info("the worker is ready", metadata: [LogKeys.count: "\(configuration.concurrency)"])
        await withTaskGroup(of: Void.self) { group in
            group.addTask(executorPreference: control) { await self.claimLoop() }
            group.addTask(executorPreference: control) { await self.startLoop() }
            for lane in settleLanes {
                group.addTask(executorPreference: control) { await self.settleLoop(lane) }
            }
            group.addTask(executorPreference: beatLane) { await self.beatLoop() }
            group.addTask(executorPreference: control) { await self.maintenanceLoop() }
            group.addTask(executorPreference: control) { await self.schedule() }
            await shutDown()
            group.cancelAll()
        }
        signals.cancel()
        offers.cancel()
        await retire()
        for runner in runners.all { runner.stop(whenDone: nil) }
        logger.info("the worker stopped")
    }

    /// Decides ticks. A worker whose schedules cannot be the store's must not start.
    private func schedule() async {
        guard let scheduler else { return }
        do {
            try await scheduler.work()
        } catch {
            logger.critical("the schedules cannot be declared", metadata: [LogKeys.error: "\(error)"])
            vitals.withLock { $0.scheduleError = error }
            stop(.gracefully)
        }
    }
}

/// Is not set, then is.
final class Flag: Sendable {
    private let flag = Atomic<Bool>(false)

    var isSet: Bool { flag.load(ordering: .relaxed) }

    func set() { flag.store(true, ordering: .relaxed) }
}

/// What changes about a worker besides its slots.
struct Vitals {
    var id: WorkerID
    var isRegistered = false
    /// When the last acknowledged beat was sent; leases are trusted from there.
    var lastBeat: Duration?
    var lastAnswer: Duration?
    var lastClaim: Duration?
    var isStoreLost = false
    var zombies = 0
    /// When the stop signal came.
    var stoppedAt: Duration?
    var mustStopNow = false
    /// Names that the last look found without a worker.
    var orphans: Set<OrphanedName> = []
    /// Before this time the silence of others proves nothing.
    var mayRescueAt: Duration = .zero
    /// Why its schedules could not be declared.
    var scheduleError: (any Error)?
    /// A beat is scheduled because another process wrote.
    var isBeatAdvanced = false
}

extension WorkerStateMachine {
    /// The machine for these settings; serves the queues of the registered job types when none are named.
    init(_ configuration: WorkerConfiguration, handlers: JobHandlers) {
        var queues = configuration.queues
        if queues.isEmpty {
            for name in [.default] + handlers.queues + configuration.strictOrder { queues[name] = .init() }
        }
        let isStrict = !configuration.strictOrder.isEmpty
        let position = Dictionary(
            configuration.strictOrder.enumerated().map { ($1, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        let lines = queues.sorted { (position[$0.key] ?? .max, $0.key) < (position[$1.key] ?? .max, $1.key) }
        self.init(
            lines: lines.map { ($0.key, $0.value.slots ?? configuration.concurrency, $0.value.weight) },
            concurrency: configuration.concurrency,
            readAheadLimit: configuration.readAhead,
            order: isStrict ? .strict : .weighted,
            poll: configuration.pollInterval...max(configuration.pollInterval, configuration.idlePollInterval)
        )
    }
}
