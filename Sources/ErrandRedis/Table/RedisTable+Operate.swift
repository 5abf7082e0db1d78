// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension RedisTable {
    /// Carries an operation out on these jobs, as far as its limit allows.
    mutating func operate(
        _ operation: Operation,
        on ids: [JobID],
        limit: Int,
        into report: inout OperationReport
    ) throws(Missing) {
        var chosen: [JobID] = []
        var last: JobID?
        for id in ids {
            if chosen.count == limit {
                report.next = last
                break
            }
            last = id
            if let why = unreadable[id] {
                report.refused[id] = why
                continue
            }
            guard let row = try row(id) else {
                report.refused[id] = "there is no such job"
                continue
            }
            var copy = row.record
            switch Self.decide(operation, on: &copy, delay: .zero, at: now) {
            case .changed:
                if let why = try keyRefusal(for: row.record, as: copy) {
                    report.refused[id] = why
                } else {
                    chosen.append(id)
                }
            case .unchanged: report.unchanged += 1
            case .refused(let why): report.refused[id] = why
            }
        }
        if operation.isDryRun {
            report.changed += chosen
            return
        }
        for (place, id) in chosen.enumerated() {
            switch try apply(operation, to: id, delay: Self.delay(of: operation, place, of: chosen.count)) {
            case .changed: report.changed.append(id)
            case .unchanged: report.unchanged += 1
            case .refused(let why): report.refused[id] = why
            }
        }
    }

    private static func delay(of operation: Operation, _ place: Int, of count: Int) -> Duration {
        guard case .retry(let spread) = operation.action, spread > .zero, count > 0 else { return .zero }
        return spread / count * place
    }

    /// Applies the action to a copy or a row's record; deleting changes nothing here.
    static func decide(
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
        to id: JobID,
        delay: Duration
    ) throws(Missing) -> JobRecord.Change {
        // An earlier job of the same call may have let this one, its follow-up, go.
        guard let row = try row(id) else { return .unchanged }
        var copy = row.record
        let decided = Self.decide(operation, on: &copy, delay: delay, at: now)
        guard decided == .changed else { return decided }
        if case .delete = operation.action {
            try remove(id)
            return .changed
        }
        if let why = try keyRefusal(for: row.record, as: copy) { return .refused(why) }
        if copy.state == .running, copy.cancelRequest != nil { effects.cancelled.append(id) }
        let runsAgain = row.record.state.isFinal && !copy.state.isFinal
        if runsAgain {
            var again = row
            (again.dropsResult, again.dropsCheckpoints, again.result) = (true, true, nil)
            rows[id] = again
            copy.progress = nil
        }
        let changed = copy
        try change(id) { $0 = changed }
        if runsAgain, let rule = copy.unique, rule.scope.ttl == nil, copy.holdsUniqueKey { giveKey(to: copy) }
        return .changed
    }
}

extension Operation.Action {
    /// The action's word in the audit.
    var word: String {
        switch self {
        case .cancel: "cancel"
        case .retry: "retry"
        case .edit: "edit"
        case .editAndRetry: "edit and retry"
        case .delete: "delete"
        case .hold: "hold"
        case .release: "release"
        }
    }

    /// Whether the arguments may change, so that the payload must be read as well.
    var changesArguments: Bool {
        switch self {
        case .edit, .editAndRetry: true
        case .cancel, .retry, .delete, .hold, .release: false
        }
    }
}

extension Operation.Selection {
    /// The selection in words for the audit.
    var words: String {
        switch self {
        case .ids(let ids) where ids.count == 1: "job \(ids[0])"
        case .ids(let ids): "\(ids.count) jobs"
        case .filter: "jobs by filter"
        }
    }
}

extension Pause.Scope {
    /// What is paused, in words for the audit.
    var words: String {
        switch self {
        case .everything: "everything"
        case .queue(let name): "queue \(name)"
        case .name(let name): "name \(name)"
        }
    }
}
