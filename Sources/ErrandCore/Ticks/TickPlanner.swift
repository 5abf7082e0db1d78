// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Decides the ticks of one schedule that are due: which get a job, which do not and why, and when to look again.
///
/// A pure value. It reads the schedule as it stands and gives back the change; whoever asked writes it, and asks again
/// when the schedule changed in between.
package struct TickPlanner {
    let rule: ScheduleRule
    let now: Timestamp
    let decider: String
    let known: KnownTicks
    let build: (Tick) throws -> NewJob?

    var record: ScheduleRecord
    let jobs: [JobID: ScheduleStanding.JobEnd]
    let seen: Int64
    var entries: [ScheduleChange.Entry] = []
    /// Jobs that were not finished, and those of this plan.
    var live: Int = 0
    /// Whether ticks are left that this plan did not come to.
    var isCutShort = false

    /// The most nominal times that one plan steps over.
    package static let stepLimit = 100_000
    /// How many skips in a row are worth a warning.
    package static let starvation = 3

    /// A planner for a schedule as it stands.
    /// - Parameters:
    ///   - rule: The rule of the schedule's trigger.
    ///   - now: Store time.
    ///   - decider: Whose name the decisions bear.
    ///   - known: The decisions in ``ScheduleRecord/spanToKnow(at:)`` and those of the times that a backfill comes to.
    ///   - build: Makes the job of a tick; `nil` when there is nothing to do.
    package init(
        _ standing: ScheduleStanding,
        rule: ScheduleRule,
        at now: Timestamp,
        by decider: String,
        known: KnownTicks = KnownTicks(),
        build: @escaping (Tick) throws -> NewJob?
    ) {
        record = standing.record
        jobs = standing.jobs
        seen = standing.record.version
        self.rule = rule
        self.now = now
        self.decider = decider
        self.known = known
        self.build = build
    }

    /// Decides everything that is due.
    /// - Throws: What `build` threw; nothing is decided then.
    package mutating func plan() throws -> TickPlan {
        let skipsBefore = record.skips
        lookAtJobs()
        setCursorRight()
        if let pause = record.pause, record.state == .paused {
            guard let until = pause.until, until <= now else { return finish(skipsBefore) }
            endPause(at: until)
        }
        (record.state, record.reason, record.failures) = (.active, nil, 0)
        try startQueued()
        try decideDue()
        try runBackfills()
        lookAgain()
        return finish(skipsBefore)
    }

    private func finish(_ skipsBefore: Int) -> TickPlan {
        var record = record
        record.version = seen + 1
        let isStarving = record.skips >= Self.starvation && skipsBefore < Self.starvation
        let stop = record.definition.policy.overlap == .cancelRunning && !record.queued.isEmpty
        return TickPlan(
            change: ScheduleChange(id: record.id, expected: seen, record: record, entries: entries),
            cancels: stop ? unfinishedJobs.map(\.id) : [],
            blockedBy: isStarving ? unfinishedJobs.first?.id : nil,
            isCutShort: isCutShort
        )
    }

    /// Jobs of the schedule that the store has and that are not final.
    private var unfinishedJobs: [ScheduledJob] {
        record.unfinished.filter { jobs[$0.id].map { !$0.state.isFinal } ?? false }
    }

    private mutating func lookAtJobs() {
        let unfinished = unfinishedJobs
        live = unfinished.count
        // The newest stays: an operator may run it again.
        record.unfinished = unfinished.isEmpty ? Array(record.unfinished.suffix(1)) : unfinished
    }

    /// A cursor far ahead of the clock was set while the clock was wrong. What ran meanwhile is known by its rows.
    private mutating func setCursorRight() {
        if record.cursor > now + ScheduleRecord.clockTolerance { record.cursor = now }
    }

    /// Ends a pause whose time is over: what fell into it is skipped.
    private mutating func endPause(at until: Timestamp) {
        skipPaused(through: until)
        record.pause = nil
        record.revision += 1
    }

    /// Writes one row for all nominal times up to an instant, and puts the cursor there.
    mutating func skipPaused(through instant: Timestamp) {
        guard instant > record.cursor else { return }
        if rule.delayAfterCompletion == nil {
            let span = rule.count(after: record.cursor, through: instant, limit: Self.stepLimit)
            if span.count > 0, let first = rule.next(after: record.cursor), let last = span.last {
                let note = span.isCapped ? "at least so many" : nil
                leave(first, through: last, count: span.count, as: .skippedPaused, note: note)
            }
        }
        record.cursor = instant
    }

    /// The facts of a tick.
    func tick(_ nominal: Timestamp, _ kind: TickKind, key: TickKey? = nil) -> Tick {
        let isAfterCompletion = rule.delayAfterCompletion != nil
        return Tick(
            schedule: record.id,
            key: key ?? .tick(nominal),
            nominal: nominal,
            previous: isAfterCompletion ? record.unfinished.last?.nominal : rule.previous(before: nominal),
            next: isAfterCompletion ? nil : rule.next(after: nominal),
            kind: kind,
            decidedAt: now
        )
    }

    /// How long after a nominal time its job is ready.
    private func delay(of tick: Tick) -> Duration {
        let policy = record.definition.policy
        let second = Civil.floor(tick.nominal.microseconds, by: 1_000_000)
        let wanted =
            ScheduleHash.jitter(of: record.id.rawValue, nominal: second, maximum: policy.jitter)
            + ScheduleHash.stagger(of: record.id.rawValue, maximum: policy.stagger)
        guard let next = tick.next else { return wanted }
        return max(min(wanted, next - tick.nominal - .milliseconds(1)), .zero)
    }

    /// Enqueues the job of a tick.
    /// - Throws: What `build` threw.
    mutating func run(_ tick: Tick, replaces: Bool = false) throws {
        let policy = record.definition.policy
        if tick.kind != .backfill, let limit = policy.expiresAfter, tick.nominal + limit <= now {
            leave(tick.nominal, key: tick.key, as: .skippedMisfire, note: "too late to start", replaces: replaces)
            return
        }
        guard let job = try build(tick) else {
            leave(tick.nominal, key: tick.key, as: .skippedByCode, replaces: replaces)
            return
        }
        let placed = job.placed(on: tick, delay: delay(of: tick), policy: policy)
        var row = row(tick.nominal, key: tick.key, kind: tick.kind, .enqueued)
        row.job = placed.id
        entries.append(ScheduleChange.Entry(row, job: placed, replaces: replaces))
        record.unfinished.append(ScheduledJob(id: placed.id, nominal: tick.nominal))
        record.runs += 1
        record.skips = 0
        count(.enqueued, 1)
        live += 1
    }

    /// Writes that ticks have no job, in one row with the ones before when the reason is the same.
    mutating func leave(
        _ nominal: Timestamp,
        key: TickKey? = nil,
        through last: Timestamp? = nil,
        count: Int = 1,
        as decision: TickDecision,
        note: String? = nil,
        replaces: Bool = false
    ) {
        let last = last ?? nominal
        self.count(decision, count)
        if !replaces, key == nil, var row = entries.last?.row, row.decision == decision, row.job == nil,
            decision != .queued,
            entries.last?.replaces == false, row.note == note, row.through < nominal, row.kind != .backfill
        {
            row.through = last
            row.count += count
            row.key = .range(row.nominal, last)
            entries[entries.count - 1].row = row
            return
        }
        let kind: TickKind = nominal + record.definition.policy.grace < now ? .catchUp : .regular
        var row = row(nominal, key: key ?? .tick(nominal), kind: kind, decision, note: note)
        if last > nominal { (row.through, row.count, row.key) = (last, count, .range(nominal, last)) }
        entries.append(ScheduleChange.Entry(row, replaces: replaces))
    }

    private func row(
        _ nominal: Timestamp,
        key: TickKey,
        kind: TickKind,
        _ decision: TickDecision,
        note: String? = nil
    ) -> TickRecord {
        TickRecord(
            schedule: record.id,
            key: key,
            nominal: nominal,
            kind: kind,
            decision: decision,
            decidedAt: now,
            decidedBy: decider,
            revision: record.revision,
            note: note
        )
    }

    private mutating func count(_ decision: TickDecision, _ count: Int) {
        record.decisions[decision, default: 0] += count
    }
}

/// What a planner decided.
package struct TickPlan: Sendable {
    /// What to write.
    package var change: ScheduleChange
    /// Jobs to ask to stop.
    package var cancels: [JobID]
    /// The job that kept several ticks in a row from running; set once for each such row.
    package var blockedBy: JobID?
    /// Whether there is more to decide right away.
    package var isCutShort: Bool

    package init(
        change: ScheduleChange,
        cancels: [JobID] = [],
        blockedBy: JobID? = nil,
        isCutShort: Bool = false
    ) {
        self.change = change
        self.cancels = cancels
        self.blockedBy = blockedBy
        self.isCutShort = isCutShort
    }
}
