// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

// Schedules: declared by the program, made at run time, watched and changed by people.

import Errand

struct Sync: Job {
    static let name: JobName = "sync"
}

struct NightlyReport: Job {
    static let name: JobName = "nightly-report"
    var since: Timestamp?
    let until: Timestamp
}

struct Payroll: Job {
    static let name: JobName = "payroll"
}

struct Digest: Job {
    static let name: JobName = "digest"
    let customer: Int
}

func definitions() -> [ScheduleDefinition] {
    @ScheduleSet.Builder func list() -> [ScheduleDefinition] {
        // snippet.definition
        ScheduleDefinition("sync", .every(.seconds(300)), job: Sync())
        ScheduleDefinition("nightly-report", .cron("30 2 * * *", in: "Europe/Berlin")) { tick in
            NightlyReport(until: tick.nominal)
        }
        // snippet.end
    }
    return list()
}

func smallest(_ store: MemoryStore, _ handlers: JobHandlers) throws -> Worker {
    // snippet.set
    let schedules = try ScheduleSet(build: .monotonic(42)) {
        ScheduleDefinition("sync", .every(.seconds(300)), job: Sync())
    }
    let worker = Worker(store: store, handlers: handlers, schedules: schedules)
    // snippet.end
    return worker
}

func short(_ store: MemoryStore, _ handlers: JobHandlers) throws -> Worker {
    // snippet.short
    let schedules = try ScheduleSet {
        ScheduleDefinition("sync", .every(.seconds(300)), job: Sync())
        ScheduleDefinition("nightly-report", .cron("30 2 * * *", in: "Europe/Berlin")) { tick in
            NightlyReport(since: tick.previous, until: tick.nominal)  // made for each tick
        }
    }
    let worker = Worker(store: store, handlers: handlers, schedules: schedules)
    // snippet.end
    return worker
}

// snippet.declare
extension ScheduleSet {
    static func app() throws -> ScheduleSet {
        try ScheduleSet {
            ScheduleDefinition("sync", .every(.seconds(300)), job: Sync())

            // One job per tick, made from what the tick is for.
            ScheduleDefinition("nightly-report", .cron("30 2 * * *", in: "Europe/Berlin")) { tick in
                NightlyReport(since: tick.previous, until: tick.nominal)
            }

            ScheduleDefinition(
                "payroll",
                .calendar(
                    .both(.lastWeekday, .weekdays([.monday, .friday])),
                    at: ["17:00"],
                    in: "America/New_York"
                ),
                policy: .with {
                    $0.catchUp = .all(max: 3)
                    $0.overlap = .queueOne
                    $0.jitter = .seconds(60)
                },
                job: Payroll()
            )
        }
    }
}
// snippet.end

func run(_ store: MemoryStore, _ handlers: JobHandlers) async throws {
    // snippet.run
    let schedules = try ScheduleSet.app()
    let worker = Worker(store: store, handlers: handlers, schedules: schedules)
    // snippet.end

    // snippet.changes
    let scheduler = Scheduler(schedules, store: store)  // looks and changes; the workers decide
    // snippet.end

    // snippet.plan
    for line in try await scheduler.differences() { print(line) }
    // snippet.end
    _ = worker
}

func handle(_ handlers: inout JobHandlers) {
    // snippet.tick
    handlers.add(Sync.self) { _, context in
        if let tick = context.tick {
            context.logger.info("for \(tick.nominal), decided \(tick.lateness) late, \(tick.kind)")
        }
    }
    // snippet.end
}

func change(_ scheduler: Scheduler, requestID: String, from: Timestamp, to: Timestamp) async throws {
    // snippet.dynamic
    try await scheduler.put(
        "customer-7-digest",
        .cron("0 8 * * MON", in: "Europe/Paris"),
        job: Digest(customer: 7),
        actor: "customer-7"
    )
    try await scheduler.remove("customer-7-digest", actor: "customer-7")
    // snippet.end

    // snippet.operations
    try await scheduler.pause("sync", note: "the vendor is down", actor: "ada")
    try await scheduler.resume("sync", actor: "ada")
    try await scheduler.trigger("payroll", token: requestID, actor: "ada")
    try await scheduler.override("sync", with: .every(.minutes(30)), reason: "spare the vendor", actor: "ada")
    try await scheduler.override("sync", with: nil, actor: "ada")
    // snippet.end

    // snippet.backfill
    var options = Scheduler.BackfillOptions()
    options.isDryRun = true
    let times = try await scheduler.backfill("nightly-report", from..<to, token: "march", options: options)
    print("\(times.count) reports would run")

    try await scheduler.backfill("nightly-report", from..<to, token: "march", actor: "ada")
    // snippet.end

    // snippet.status
    if let status = try await scheduler.status(of: "nightly-report") {
        print(status.record.state, status.words, status.lag)
        for tick in status.upcoming { print(tick.local, tick.notes) }
        for row in status.recent { print(row.nominal, row.decision, row.note ?? "") }
    }
    let march = try await scheduler.decisions(of: "nightly-report", in: from...to)
    // snippet.end
    _ = march
}

func watch(_ events: EventHub) async {
    // snippet.schedule-events
    for await event in events.events() {
        if case .scheduleBroken(let schedule, let reason) = event { print("\(schedule): \(reason)") }
    }
    // snippet.end
}
