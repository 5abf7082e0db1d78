// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension ScheduleRecord {
    /// The record of a new schedule, with its first time.
    ///
    /// Nothing of the past is due but a single instant, which fires late rather than never.
    package static func new(
        id: ScheduleID,
        source: Source,
        definition: Definition,
        hash: String,
        build: Int64,
        rule: ScheduleRule,
        at now: Timestamp
    ) -> ScheduleRecord {
        var record = ScheduleRecord(
            id: id,
            source: source,
            definition: definition,
            hash: hash,
            build: build,
            at: now
        )
        record.begin(rule, at: now)
        return record
    }

    /// Starts counting ticks from now by this rule.
    package mutating func begin(_ rule: ScheduleRule, at now: Timestamp) {
        cursor = now
        if let instant = rule.singleInstant, instant <= now, runs == 0 { cursor = instant - .microseconds(1) }
        (isCatchingUp, waits) = (false, 0)
        next = rule.next(after: cursor)
        if state == .paused {
            dueAt = pause?.until
        } else {
            state = next == nil && queued.isEmpty && backfills.isEmpty ? .completed : .active
            (reason, failures) = (nil, 0)
            dueAt = state == .completed ? nil : (queued.isEmpty && backfills.isEmpty ? next : now)
        }
    }

    /// Makes it another schedule of the same name: ticks from now on are the new rule's. What was due before must
    /// have been decided.
    package mutating func edit(
        _ definition: Definition,
        hash: String,
        build: Int64,
        rule: ScheduleRule,
        at now: Timestamp
    ) {
        self.definition = definition
        self.hash = hash
        self.build = build
        changed(at: now)
        begin(rule, at: now)
    }

    /// Pauses it. Ticks from now on are skipped; jobs that are enqueued stay.
    package mutating func pause(by actor: String, note: String, until: Timestamp?, at now: Timestamp) {
        pause = SchedulePause(actor: actor, note: note, since: now, until: until)
        state = .paused
        dueAt = until
        changed(at: now)
    }

    /// Ends a pause, with nothing to catch up. What fell into it must have its row.
    package mutating func resume(_ rule: ScheduleRule, at now: Timestamp) {
        pause = nil
        state = .active
        changed(at: now)
        begin(rule, at: now)
    }

    /// Stops it because the program does not declare it any more.
    package mutating func retire(build: Int64, at now: Timestamp) {
        self.build = build
        state = .retired
        (next, dueAt) = (nil, nil)
        changed(at: now)
    }

    /// Says that it could not be decided, and when it is tried again: after 1 s, then longer up to 5 minutes.
    package mutating func fail(_ reason: String, at now: Timestamp) {
        self.reason = reason
        failures += 1
        state = .broken
        dueAt = now + min(.seconds(1 << min(failures - 1, 9)), .seconds(300))
        version += 1
    }

    mutating func changed(at now: Timestamp) {
        revision += 1
        changedAt = now
    }
}

extension ScheduleRule {
    /// The instant of a rule that has only that one.
    var singleInstant: Timestamp? {
        if case .once(let second) = base { return Timestamp(seconds: second) }
        return nil
    }
}

extension ScheduleRule {
    /// A rule without times.
    package static let never = ScheduleRule(
        base: .once(.min),
        zone: .utc,
        bounds: Bounds(start: nil, end: nil, limit: nil, excluded: [])
    )
}
