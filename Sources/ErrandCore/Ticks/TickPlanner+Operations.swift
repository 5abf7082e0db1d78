// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension TickPlanner {
    /// Decides what is due by the old rule, then makes the schedule another one of the same name.
    /// - Throws: What building a job threw; nothing is decided then.
    package mutating func edit(
        to definition: ScheduleRecord.Definition,
        hash: String,
        build: Int64,
        rule: ScheduleRule
    ) throws -> TickPlan {
        try beforeEdit {
            $0.edit(definition, hash: hash, build: build, rule: rule, at: $1)
        }
    }

    /// Decides what is due by the old rule, then lets an operator's trigger take its place; `nil` ends that.
    /// - Throws: What building a job threw; nothing is decided then.
    package mutating func override(with trigger: Trigger?, rule: ScheduleRule) throws -> TickPlan {
        try beforeEdit { record, now in
            record.override = trigger
            record.changed(at: now)
            record.begin(rule, at: now)
        }
    }

    /// Decides what is due, then pauses.
    /// - Throws: What building a job threw; nothing is decided then.
    package mutating func pause(by actor: String, note: String, until: Timestamp?) throws -> TickPlan {
        try beforeEdit { $0.pause(by: actor, note: note, until: until, at: $1) }
    }

    /// Decides what is due, then stops it because the program does not declare it any more.
    /// - Throws: What building a job threw; nothing is decided then.
    package mutating func retire(build: Int64) throws -> TickPlan {
        try beforeEdit { $0.retire(build: build, at: $1) }
    }

    /// Ends a pause: what fell into it is skipped, in one row, or is still to be decided when it is caught up with.
    package mutating func resume(catchingUp: Bool) -> TickPlan {
        let cursor = record.cursor
        if !catchingUp { skipPaused(through: now) }
        record.resume(rule, at: now)
        if catchingUp { (record.cursor, record.dueAt) = (cursor, now) }
        return finished
    }

    /// Runs it now, whatever its ticks do.
    /// - Throws: What building the job threw.
    package mutating func trigger(token: String) throws -> TickPlan {
        let tick = Tick(
            schedule: record.id,
            key: .trigger(token),
            nominal: now,
            previous: record.unfinished.last?.nominal,
            next: record.next,
            kind: .trigger,
            decidedAt: now
        )
        try run(tick)
        record.runs -= entries.isEmpty || entries.last?.job == nil ? 0 : 1
        return finished
    }

    /// Begins to run the nominal times of a span.
    package mutating func backfill(_ backfill: ScheduleBackfill) -> TickPlan {
        record.backfills.append(backfill)
        if record.state != .paused { (record.state, record.dueAt) = (.active, now) }
        record.waits = 0
        return finished
    }

    private mutating func beforeEdit(_ edit: (inout ScheduleRecord, Timestamp) -> Void) throws -> TickPlan {
        let state = record.state
        guard state == .active || state == .broken else {
            if let pause = record.pause, state == .paused {
                skipPaused(through: pause.until.map { min($0, now) } ?? now)
            }
            edit(&record, now)
            return finished
        }
        var plan = try plan()
        guard !plan.isCutShort, var edited = plan.change.record else { return plan }
        edit(&edited, now)
        plan.change.record = edited
        return plan
    }

    private var finished: TickPlan {
        var record = record
        record.version = seen + 1
        return TickPlan(
            change: ScheduleChange(id: record.id, expected: seen, record: record, entries: entries)
        )
    }
}
