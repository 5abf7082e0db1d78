// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

@testable import ErrandCore

/// One schedule, its rows and its jobs, without a store.
struct PlannerBench {
    let rule: ScheduleRule
    var record: ScheduleRecord
    var rows: [TickKey: TickRecord] = [:]
    var ends: [JobID: ScheduleStanding.JobEnd] = [:]
    var jobs: [NewJob] = []
    var cancels: Set<JobID> = []
    var blockedBy: JobID?
    var build: (Tick) throws -> NewJob? = { _ in
        NewJob(id: JobID(high: 0, low: 0), name: "mail", payload: Payload(bytes: []))
    }

    init(_ cron: String, _ policy: SchedulePolicy) throws { try self.init(.cron(cron), policy) }

    init(_ trigger: Trigger, _ policy: SchedulePolicy) throws {
        rule = try trigger.rule(for: "s", zones: .utc)
        let definition = ScheduleRecord.Definition(trigger: trigger, policy: policy, job: nil)
        record = ScheduleRecord(id: "s", source: .code, definition: definition, hash: "", at: .epoch)
    }

    static func instant(_ year: Int, _ month: Int, _ day: Int, _ hour: Int, _ minute: Int) -> Timestamp {
        let seconds = Int64(Civil.days(year: year, month: month, day: day)) * 86_400
        return Timestamp(seconds: seconds + Int64(hour * 3600 + minute * 60))
    }

    mutating func begin(at now: Timestamp) { record.begin(rule, at: now) }

    /// Decides what is due, as a scheduler would, and answers the rows that a store would keep.
    mutating func settle(at now: Timestamp) throws -> [TickRecord] {
        let known = record.spanToKnow(at: now) == nil ? KnownTicks() : KnownTicks(Array(rows.values))
        let keys = TickPlanner.backfillKeys(of: record, rule: rule)
        let all = keys.isEmpty ? known : KnownTicks(Array(rows.values))
        var planner = TickPlanner(
            ScheduleStanding(record: record, jobs: ends),
            rule: rule,
            at: now,
            by: "test",
            known: all,
            build: build
        )
        return take(try planner.plan())
    }

    mutating func take(_ plan: TickPlan) -> [TickRecord] {
        if let record = plan.change.record { self.record = record }
        cancels.formUnion(plan.cancels)
        blockedBy = plan.blockedBy
        return plan.change.entries.compactMap { entry in
            guard entry.replaces || rows[entry.row.key] == nil else { return nil }
            rows[entry.row.key] = entry.row
            if let job = entry.job {
                jobs.append(job)
                ends[job.id] = .init(state: .ready)
            }
            return entry.row
        }
    }

    /// Every job that there is succeeds.
    mutating func endJobs(at now: Timestamp) {
        for (id, end) in ends where !end.state.isFinal { ends[id] = .init(state: .succeeded, finishedAt: now) }
    }

    /// `run`, or the decision.
    static func word(_ row: TickRecord) -> String { row.decision == .enqueued ? "run" : row.decision.rawValue }

    /// `run 5 Mar`, `coalesced x2`.
    static func words(_ row: TickRecord) -> String {
        if row.count > 1 { return "\(word(row)) x\(row.count)" }
        let date = Civil.date(ofDay: Int(Civil.floor(row.nominal.microseconds, by: 86_400_000_000)))
        return "\(word(row)) \(date.day) Mar"
    }
}
