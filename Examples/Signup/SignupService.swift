// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandHummingbird
import Hummingbird
import Logging
import NIOCore

/// The service of one process: HTTP server, after-response tasks, worker, or what its role leaves of them, and the jobs in
/// one store.
struct SignupService {
    let settings: Settings
    let store: any JobStore
    let jobs: JobClient
    /// What runs the jobs; idle in a process that only answers requests.
    let worker: Worker
    let background: BackgroundRunner
    /// What looks at schedules and changes them for requests; the worker has one of its own that decides their ticks.
    let scheduler: Scheduler
    /// What happens to jobs in this process.
    let events: EventHub
    private let clock: any ErrandClock

    /// Puts the parts together; nothing runs yet.
    /// - Throws: ``StartError`` when the run ledger cannot be opened; `ScheduleErrors`.
    init(
        settings: Settings,
        store: any JobStore,
        mode: BackgroundRunner.Mode = .live,
        clock: any ErrandClock = SystemClock.shared
    ) throws {
        self.settings = settings
        self.store = store
        self.clock = clock
        events = EventHub()
        jobs = JobClient(store: store, events: events, clock: clock)
        let transport: any MailTransport =
            settings.webhookURL.map { MailWebhook(url: $0) } ?? MailFolder(folder: settings.mailFolder)
        mailer = Mailer(
            transport: transport,
            from: Mail.Mailbox(name: "Signup", address: settings.mailFrom),
            team: Mail.Mailbox(name: "Team", address: settings.teamAddress)
        )
        var handlers = JobHandlers()
        WelcomeEmail.register(in: &handlers, mailer: mailer)
        ProcessText.register(in: &handlers, clock: clock)
        DailyReport.register(in: &handlers, jobs: jobs)
        ExportRows.register(in: &handlers, folder: settings.fileFolder, clock: clock)
        NightlyReport.register(in: &handlers, jobs: jobs, mailer: mailer)
        Heartbeat.register(in: &handlers, jobs: jobs)
        Reminder.register(in: &handlers, mailer: mailer)
        let schedules = try ScheduleSet.signup()
        scheduler = Scheduler(schedules, store: store, events: events, clock: clock)
        worker = Worker(
            store: store,
            handlers: handlers,
            schedules: schedules,
            configuration: settings.worker,
            interceptors: try settings.runLedger.map { [try RunLedger(path: $0)] } ?? [],
            events: events,
            clock: clock
        )
        background = BackgroundRunner(jobs: jobs, configuration: Self.limits(settings.worker.shutdown), mode: mode)
    }

    private let mailer: Mailer

    /// One budget for everything that stops: what the worker has, the tasks after responses have, too.
    private static func limits(_ shutdown: WorkerShutdown) -> BackgroundRunnerConfiguration {
        var limits = BackgroundRunnerConfiguration()
        limits.drain = shutdown.cancelAfter
        limits.drainGrace = min(shutdown.exitAfter - shutdown.cancelAfter, limits.drainGrace)
        limits.shutdownDeadline = shutdown.exitAfter
        return limits
    }

    /// The application, ready to run; tells `onListening` the port once the server listens.
    func application(onListening: @escaping @Sendable (Int) -> Void = { _ in }) -> some ApplicationProtocol {
        Application(
            router: router(),
            background: background,
            configuration: ApplicationConfiguration(
                address: .hostname(settings.host, port: settings.port),
                serverName: "signup"
            ),
            services: settings.role == .web ? [] : [worker],
            onServerRunning: { channel in onListening(channel.localAddress?.port ?? 0) },
            logger: Logger(label: "signup")
        )
    }

    private func router() -> Router<BasicRequestContext> {
        let router = Router()
        router.add(middleware: ProblemMiddleware())
        HelpRoutes().add(to: router)
        RegisterRoutes(mailer: mailer, clock: clock).add(to: router)
        WorkRoutes(jobs: jobs).add(to: router)
        ThumbnailRoutes(folder: settings.fileFolder, clock: clock).add(to: router)
        JobRoutes(jobs: jobs).add(to: router)
        ScheduleRoutes(scheduler: scheduler, clock: clock).add(to: router)
        HealthRoutes(worker: settings.role == .web ? nil : worker, store: store).add(to: router)
        return router
    }
}
