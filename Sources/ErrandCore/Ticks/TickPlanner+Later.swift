// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension TickPlanner {
    /// How long a schedule that waits for a job is left alone: 1 s at first, then longer up to this. A worker of the
    /// same process that ends the job does not wait for it.
    static let longestWait: Duration = .seconds(15)

    /// The most nominal times that a backfill comes to in one plan.
    package static let backfillStep = 100

    /// Works on the first backfill as far as the schedule's jobs leave room.
    mutating func runBackfills() throws {
        var room = Self.backfillStep
        while room > 0, var backfill = record.backfills.first, record.queued.isEmpty, live < backfill.width {
            guard let nominal = rule.next(after: backfill.position), nominal < backfill.end else {
                record.backfills.removeFirst()
                continue
            }
            room -= 1
            backfill.position = nominal
            record.backfills[0] = backfill
            let key: TickKey = backfill.isRerun ? .rerun(backfill.token, nominal) : .tick(nominal)
            let row = known[key]
            if row?.decision.isRun ?? false { continue }
            record.decidedThrough = max(record.decidedThrough, nominal)
            try run(tick(nominal, .backfill, key: key), replaces: row != nil)
        }
        isCutShort = isCutShort || room == 0
    }

    /// The keys that ``runBackfills()`` will come to next.
    package static func backfillKeys(of record: ScheduleRecord, rule: ScheduleRule) -> [TickKey] {
        guard let backfill = record.backfills.first else { return [] }
        var keys: [TickKey] = []
        var from = backfill.position
        while keys.count < backfillStep, let nominal = rule.next(after: from), nominal < backfill.end {
            keys.append(backfill.isRerun ? .rerun(backfill.token, nominal) : .tick(nominal))
            from = nominal
        }
        return keys
    }

    /// Says when the schedule is due again, or that it is complete.
    mutating func lookAgain() {
        let hasWork = !record.queued.isEmpty || !record.backfills.isEmpty
        let isAfterCompletion = rule.delayAfterCompletion != nil
        if isOver {
            record.next = nil
        } else if isAfterCompletion {
            record.next = live > 0 ? nil : rule.next(after: lastEnd)
        } else {
            record.next = rule.next(after: record.cursor)
        }
        let waits = hasWork && live > 0 || isAfterCompletion && !isOver && live > 0
        if isCutShort || (hasWork && live == 0) {
            record.dueAt = now
            record.waits = 0
        } else if waits {
            let pause = min(.seconds(1 << min(record.waits, 4)), Self.longestWait)
            record.dueAt = min(record.next ?? .distantFuture, now + pause)
            record.waits += 1
        } else {
            record.dueAt = record.next
            record.waits = 0
        }
        if record.dueAt == nil {
            record.state = .completed
            record.changedAt = now
        }
    }
}
