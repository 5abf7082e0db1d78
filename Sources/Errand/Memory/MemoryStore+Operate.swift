// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule
public import ErrandCore

extension MemoryStore {
    /// Pauses and resumes; see ``/ErrandCore/JobStore/setControls(_:)``.
    public func setControls(_ changes: [ControlChange]) async throws {
        try act { table, now in
            for change in changes { table.apply(change, at: now) }
        }
    }

    /// Carries out an operator's change; see ``/ErrandCore/JobStore/operate(_:)``.
    ///
    /// The newest 10,000 idempotency keys are kept 24 hours.
    public func operate(_ operation: Operation) async throws -> OperationReport {
        try act { table, now in table.operate(operation, at: now) }
    }
}

extension MemoryTable {
    mutating func apply(_ change: ControlChange, at now: Timestamp) {
        switch change {
        case .pause(let scope, let actor, let reason, let lasting):
            pauses[scope] = Pause(
                scope: scope,
                actor: actor,
                reason: reason,
                since: now,
                until: lasting.map { now + $0 }
            )
            write(AuditEntry(at: now, actor: actor, action: "pause", target: scope.words, reason: reason, changed: 0))
        case .resume(let scope, let actor, let reason):
            guard pauses.removeValue(forKey: scope) != nil else { return }
            write(AuditEntry(at: now, actor: actor, action: "resume", target: scope.words, reason: reason, changed: 0))
        }
        effects.controls = true
    }

    mutating func write(_ entry: AuditEntry) {
        audit.append(entry)
        if audit.count > Self.keptLines { audit.removeFirst() }
    }

    mutating func operate(_ operation: Operation, at now: Timestamp) -> OperationReport {
        let key = operation.isDryRun ? nil : operation.idempotencyKey
        if let key, let earlier = reports[key] { return earlier.report }
        var report = OperationReport()
        let chosen = choose(operation, into: &report, at: now)
        if operation.isDryRun {
            report.changed = chosen.map(\.record.id)
            return report
        }
        for (place, row) in chosen.enumerated() {
            switch apply(operation, to: row, delay: delay(of: operation, place, of: chosen.count), at: now) {
            case .changed: report.changed.append(row.record.id)
            case .unchanged: report.unchanged += 1
            case .refused(let why): report.refused[row.record.id] = why
            }
        }
        write(
            AuditEntry(
                at: now,
                actor: operation.actor,
                action: operation.action.word,
                target: operation.selection.words,
                reason: operation.reason,
                changed: report.changed.count
            )
        )
        if let key { remember(report, as: key, at: now) }
        return report
    }

    /// The rows that the operation would change, at most as many as its limit; the others go to the report.
    private mutating func choose(
        _ operation: Operation,
        into report: inout OperationReport,
        at now: Timestamp
    ) -> [MemoryRow] {
        var chosen: [MemoryRow] = []
        func consider(_ row: MemoryRow) {
            var copy = row.record
            switch Self.decide(operation, on: &copy, delay: .zero, at: now) {
            case .changed:
                if let why = keyRefusal(for: row, as: copy, at: now) {
                    report.refused[row.record.id] = why
                } else {
                    chosen.append(row)
                }
            case .unchanged: report.unchanged += 1
            case .refused(let why): report.refused[row.record.id] = why
            }
        }
        switch operation.selection {
        case .ids(let ids):
            var seen: Set<JobID> = []
            var last: JobID?
            for id in ids where seen.insert(id).inserted {
                if chosen.count == operation.limit {
                    report.next = last
                    break
                }
                last = id
                if let row = rows[id] { consider(row) } else { report.refused[id] = "there is no such job" }
            }
        case .filter(let filter, let after):
            var walk = MemoryWalk(filter, after: after, scanLimit: 100_000)
            while chosen.count < operation.limit, let row = walk.next(in: &self) { consider(row) }
            if walk.isBounded {
                report.next = walk.last
            } else if chosen.count == operation.limit {
                let last = walk.last
                if walk.next(in: &self) != nil || walk.isBounded { report.next = last }
            }
        }
        return chosen
    }

    private func delay(of operation: Operation, _ place: Int, of count: Int) -> Duration {
        guard case .retry(let spread) = operation.action, spread > .zero, count > 0 else { return .zero }
        let step = spread / count
        return step * place
    }

    /// Applies the action to a copy or a row's record; deleting changes nothing here.
    private static func decide(
        _ operation: Operation,
        on record: inout JobRecord,
        delay: Duration,
        at now: Timestamp
    ) -> JobRecord.Change {
        switch operation.action {
        case .cancel: return record.cancel(by: operation.actor, reason: operation.reason, at: now)
        case .retry: return record.retry(after: delay, at: now)
        case .edit(let edit): return record.edit(edit, at: now)
        case .editAndRetry(let edit):
            let edited = record.edit(edit, at: now)
            guard edited == .changed else { return edited }
            if case .refused(let why) = record.retry(after: .zero, at: now) { return .refused(why) }
            return .changed
        case .delete: return record.deletion
        case .hold(let lasting):
            let until = lasting.map { now + $0 }
            return record.hold(Hold(actor: operation.actor, reason: operation.reason, since: now, until: until))
        case .release: return record.release()
        }
    }

    private mutating func apply(
        _ operation: Operation,
        to row: MemoryRow,
        delay: Duration,
        at now: Timestamp
    ) -> JobRecord.Change {
        var copy = row.record
        let wasFinal = copy.state.isFinal
        let decided = Self.decide(operation, on: &copy, delay: delay, at: now)
        guard decided == .changed else { return decided }
        if case .delete = operation.action {
            remove(row, at: now)
            return .changed
        }
        if let why = keyRefusal(for: row, as: copy, at: now) { return .refused(why) }
        let isAsked = copy.state == .running && copy.cancelRequest != nil
        let runsAgain = wasFinal && !copy.state.isFinal
        if runsAgain {
            dropResult(of: row)
            row.checkpoints = [:]
            copy.progress = nil
        }
        change(row, at: now) { $0 = copy }
        if runsAgain, let rule = copy.unique, rule.scope.ttl == nil, copy.holdsUniqueKey { giveKey(to: row) }
        if isAsked { effects.cancelled.append(row.record.id) }
        return .changed
    }

    private mutating func remember(_ report: OperationReport, as key: String, at now: Timestamp) {
        reports[key] = MemoryReport(report: report, at: now)
        reportOrder.append(key)
        if reportOrder.count > Self.keptLines, let oldest = reportOrder.popFirst() { reports[oldest] = nil }
    }
}
