// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

// Running, watching and changing what is stored.

import Errand
import ErrandSQLite
import Logging
import ServiceLifecycle

func work(_ store: SQLiteStore, _ handlers: JobHandlers) async throws {
    // snippet.worker
    var configuration = WorkerConfiguration()
    configuration.concurrency = 32
    configuration.queues = ["default": .init(), "images": .init(slots: 4), "mail": .init(weight: 3)]
    let worker = Worker(store: store, handlers: handlers, configuration: configuration)

    let group = ServiceGroup(
        configuration: ServiceGroupConfiguration(
            services: [worker],
            gracefulShutdownSignals: [.sigterm],
            cancellationSignals: [.sigint],
            logger: Logger(label: "app")
        )
    )
    try await group.run()
    try await store.close()
    // snippet.end
}

func operate(_ jobs: JobClient, _ id: JobID) async throws {
    // snippet.operate
    try await jobs.pause(.queue("images"), lasting: .hours(1), reason: "the disk is being replaced", actor: "ada")
    try await jobs.resume(.queue("images"), reason: "it is back", actor: "ada")

    try await jobs.cancel([id], reason: "the order was withdrawn")
    try await jobs.cancel(matching: JobFilter(names: ["invoice"], tags: ["import-9"]), reason: "wrong file")

    let failed = JobFilter(states: [.failed], names: ["invoice"])
    let report = try await jobs.operate(
        .retry(spread: .minutes(10)),
        matching: failed,
        reason: "the printer works again"
    )
    // snippet.end
    _ = report

    // snippet.inspect
    let page = try await jobs.jobs(JobFilter(states: [.failed]))
    for job in page.jobs { print(job.id, job.name, job.error?.message ?? "") }

    let one = try await jobs.job(id, parts: [.attempts, .log])
    let waiting = try await jobs.counts().count(.ready, queue: "images")
    // snippet.end
    _ = (one, waiting)
}

func watch(_ store: SQLiteStore, _ handlers: JobHandlers) async {
    // snippet.events
    let events = EventHub()
    let jobs = JobClient(store: store, events: events)
    let worker = Worker(store: store, handlers: handlers, events: events)

    for await event in events.events() {
        if case .orphaned(let names) = event { print("nobody can run \(names)") }
    }
    // snippet.end
    _ = (jobs, worker)
}

func health(_ worker: Worker) -> Bool {
    // snippet.health
    let health = worker.health
    let isLive = !health.shouldRestart
    let isReady = health.isReady && !health.isStoreLost
    // snippet.end
    return isLive && isReady
}

// snippet.interceptor
struct TenantHeader: EnqueueInterceptor {
    @TaskLocal static var tenant: String?

    func prepare(_ job: inout NewJob) throws {
        job.headers["tenant"] = Self.tenant
    }
}

struct TenantScope: JobInterceptor {
    func run(_ context: JobContext, next: NextRun) async throws {
        try await TenantHeader.$tenant.withValue(context.headers["tenant"]) { try await next() }
    }
}
// snippet.end
