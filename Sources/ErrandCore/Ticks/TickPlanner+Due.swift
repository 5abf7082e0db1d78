// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension TickPlanner {
    /// Decides every nominal time from the cursor to now, or as many as one plan may come to.
    mutating func decideDue() throws {
        guard !isOver else { return }
        if let delay = rule.delayAfterCompletion { return try decideAfterCompletion(delay) }
        let policy = record.definition.policy
        skipBeyondWindow(policy.catchUpWindow)
        guard !isCutShort, record.cursor < now else { return }
        let edge = now - policy.grace
        guard let first = rule.next(after: record.cursor), first <= now else {
            (record.cursor, record.isCatchingUp) = (now, false)
            return
        }
        guard first < edge || record.isCatchingUp else {
            let due = nominals(keeping: SchedulePolicy.most, limit: SchedulePolicy.most)
            for nominal in due.newest where !isOver { try decide(nominal, .regular) }
            return advance(past: due)
        }
        if policy.catchUp == .skip { return skipMissed(from: first, before: edge) }
        let due = nominals(keeping: SchedulePolicy.most, limit: Self.stepLimit)
        try catchUp(due, policy.catchUp)
        advance(past: due)
    }

    private mutating func advance(past due: DueTicks) {
        if isOver { return }
        record.cursor = due.isCapped ? due.last ?? now : now
        isCutShort = due.isCapped
        if !due.isCapped { record.isCatchingUp = false }
    }

    /// Whether the trigger's limit is reached.
    var isOver: Bool { rule.maximumRuns.map { record.runs >= $0 } ?? false }

    /// Skips what was missed; what is on time is left for the next plan.
    private mutating func skipMissed(from first: Timestamp, before edge: Timestamp) {
        let span = rule.count(after: record.cursor, through: edge - .microseconds(1), limit: Self.stepLimit)
        if let last = span.last { leave(first, through: last, count: span.count, as: .skippedMisfire) }
        record.cursor = span.isCapped ? span.last ?? edge : edge - .microseconds(1)
        isCutShort = true
    }

    private mutating func skipBeyondWindow(_ window: Duration?) {
        guard let window, now - window > record.cursor else { return }
        let edge = now - window
        let span = rule.count(after: record.cursor, through: edge, limit: Self.stepLimit)
        if span.count > 0, let first = rule.next(after: record.cursor), let last = span.last {
            leave(first, through: last, count: span.count, as: .skippedMisfire, note: "older than the window")
        }
        record.cursor = span.isCapped ? span.last ?? edge : edge
        isCutShort = span.isCapped
    }

    private mutating func catchUp(_ due: DueTicks, _ policy: SchedulePolicy.CatchUp) throws {
        guard let first = due.first, let last = due.last else { return }
        switch policy {
        case .latest:
            if due.isCapped {
                leave(first, through: last, count: due.count, as: .coalesced)
                return
            }
            if due.count > 1, let before = due.newest.dropLast().last {
                leave(first, through: before, count: due.count - 1, as: .coalesced)
            }
            try decide(last, kind(of: last))
        case .earliest:
            var first = first
            var count = due.count
            if !record.isCatchingUp {
                try decide(first, .catchUp)
                guard count > 1, let second = rule.next(after: first) else { return }
                (first, count) = (second, count - 1)
            }
            leave(first, through: last, count: count, as: .coalesced)
            record.isCatchingUp = due.isCapped
        case .all(let max):
            let kept = due.isCapped ? [] : due.newest.suffix(max)
            let left = due.count - kept.count
            if left > 0, let through = due.isCapped ? last : due.newest.dropLast(kept.count).last {
                leave(first, through: through, count: left, as: .skippedMisfire)
            }
            for nominal in kept where !isOver { try decide(nominal, kind(of: nominal)) }
        case .skip: break
        }
    }

    private func kind(of nominal: Timestamp) -> TickKind {
        nominal + record.definition.policy.grace < now ? .catchUp : .regular
    }

    /// Decides one tick by what the schedule's earlier jobs do.
    private mutating func decide(_ nominal: Timestamp, _ kind: TickKind) throws {
        record.decidedThrough = max(record.decidedThrough, nominal)
        if known.isRun(nominal) { return }
        let isBusy = live > 0
        switch record.definition.policy.overlap {
        case .skip where isBusy: skip(nominal)
        case .allow(let max) where live >= max: skip(nominal)
        case .queueOne where isBusy || !record.queued.isEmpty,
            .cancelRunning where isBusy || !record.queued.isEmpty:
            for waiting in record.queued { leave(waiting, as: .coalesced, replaces: true) }
            unqueue(record.queued.count)
            queue(nominal)
        case .queueAll(let max) where isBusy || !record.queued.isEmpty:
            if record.queued.count < max { queue(nominal) } else { skip(nominal) }
        default: try run(tick(nominal, kind), replaces: known[.tick(nominal)] != nil)
        }
    }

    private mutating func skip(_ nominal: Timestamp) {
        record.skips += 1
        leave(nominal, as: .skippedOverlap)
    }

    private mutating func queue(_ nominal: Timestamp) {
        record.queued.append(nominal)
        leave(nominal, as: .queued, replaces: known[.tick(nominal)] != nil)
    }

    private mutating func unqueue(_ count: Int) {
        record.queued.removeFirst(count)
        record.decisions[.queued, default: count] -= count
    }

    /// Starts the first tick that waits when nothing is in its way any more.
    mutating func startQueued() throws {
        guard live == 0, !isOver, let nominal = record.queued.first else { return }
        unqueue(1)
        try run(tick(nominal, kind(of: nominal)), replaces: true)
    }

    private mutating func decideAfterCompletion(_ delay: Duration) throws {
        guard live == 0, let nominal = rule.next(after: lastEnd), nominal <= now else { return }
        try decide(nominal, kind(of: nominal))
        record.cursor = now
    }

    /// When the newest job ended. The end of one that is gone is not known: then it is when the schedule was last
    /// decided, as for one that has not run yet.
    var lastEnd: Timestamp {
        max(record.unfinished.last.flatMap { jobs[$0.id]?.finishedAt } ?? record.cursor, record.cursor)
    }

    /// The nominal times from the cursor to now: how many, the first, the last, and the newest `kept` of them.
    private func nominals(keeping kept: Int, limit: Int) -> DueTicks {
        var due = DueTicks()
        var from = record.cursor
        while let next = rule.next(after: from), next <= now {
            if due.count == limit {
                due.isCapped = true
                break
            }
            due.add(next, keeping: kept)
            from = next
        }
        return due
    }
}

/// Nominal times in a row.
struct DueTicks {
    private(set) var count = 0
    private(set) var first: Timestamp?
    private(set) var last: Timestamp?
    var isCapped = false
    private var ring: [Timestamp] = []

    mutating func add(_ nominal: Timestamp, keeping kept: Int) {
        if first == nil { first = nominal }
        last = nominal
        // Twice as many as asked for are held, so that throwing half away costs little each.
        if ring.count >= 2 * kept { ring.removeFirst(kept) }
        ring.append(nominal)
        count += 1
    }

    /// The newest of them, oldest first: at least as many as were to be kept, or all.
    var newest: [Timestamp] { ring }
}
