// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import Foundation

extension SQLiteStore {
    public func setControls(_ changes: [ControlChange]) async throws {
        guard !changes.isEmpty else { return }
        try await write { session, now in
            for change in changes { try session.apply(change, at: now) }
        }
    }

    public func operate(_ operation: ErrandCore.Operation) async throws -> OperationReport {
        if operation.isDryRun {
            return try await read { session, now in
                var report = OperationReport()
                report.changed = try session.choose(operation, into: &report, at: now).map(\.id)
                return report
            }
        }
        return try await write(rows: operation.limit) { session, now in try session.operate(operation, at: now) }
    }
}

extension SQLiteSession {
    // MARK: Controls

    func apply(_ change: ControlChange, at now: Timestamp) throws {
        switch change {
        case .pause(let scope, let actor, let reason, let lasting):
            try put(
                Pause(scope: scope, actor: actor, reason: reason, since: now, until: lasting.map { now + $0 })
            )
            try write(
                AuditEntry(at: now, actor: actor, action: "pause", target: scope.words, reason: reason, changed: 0)
            )
        case .resume(let scope, let actor, let reason):
            guard try deleteControl(scope) else { return }
            try write(
                AuditEntry(at: now, actor: actor, action: "resume", target: scope.words, reason: reason, changed: 0)
            )
        }
        effects.controls = true
    }

    func put(_ pause: Pause) throws {
        let put = try command(.putControl)
        put.bind(1, pause.scope.stored)
        put.bind(2, pause.actor)
        put.bind(3, pause.reason)
        put.bind(4, pause.since.microseconds)
        put.bind(5, pause.until?.microseconds)
        try put.run()
        effects.controls = true
    }

    @discardableResult
    func deleteControl(_ scope: Pause.Scope) throws -> Bool {
        let delete = try command(.deleteControl)
        delete.bind(1, scope.stored)
        return try delete.run() > 0
    }

    func storedPauses() throws -> [Pause] {
        try command(.allControls)
            .all { row in
                guard let scope = Pause.Scope(stored: row.text(0)) else { throw StoreError.unreadable("pause") }
                return Pause(
                    scope: scope,
                    actor: row.text(1),
                    reason: row.text(2),
                    since: Timestamp(microseconds: row.int64(3)),
                    until: row.optionalInt64(4).map(Timestamp.init(microseconds:))
                )
            }
    }

    /// The pauses that hold.
    func pauses(at now: Timestamp) throws -> [Pause] {
        try storedPauses().filter { $0.until.map { $0 > now } ?? true }
    }

    func write(_ entry: AuditEntry, key: String? = nil, report: String? = nil) throws {
        let put = try command(.putAudit)
        put.bind(1, entry.at.microseconds)
        put.bind(2, entry.actor)
        put.bind(3, entry.action)
        put.bind(4, entry.target)
        put.bind(5, entry.reason)
        put.bind(6, entry.changed)
        put.bind(7, key)
        put.bind(8, report)
        try put.run()
    }

    // MARK: Operations

    func operate(_ operation: ErrandCore.Operation, at now: Timestamp) throws -> OperationReport {
        if let key = operation.idempotencyKey, let earlier = try report(of: key) { return earlier }
        var report = OperationReport()
        let all = try choose(operation, into: &report, at: now)
        for (place, chosen) in all.enumerated() {
            // Read again: an earlier job of the same call may have let this one, its follow-up, go.
            guard var job = try job(row: chosen.row, withPayload: true) else { continue }
            let delay = delay(of: operation, place, of: all.count)
            switch try apply(operation, to: &job, delay: delay, at: now) {
            case .changed: report.changed.append(job.record.id)
            case .unchanged: report.unchanged += 1
            case .refused(let why): report.refused[job.record.id] = why
            }
        }
        let entry = AuditEntry(
            at: now,
            actor: operation.actor,
            action: operation.action.word,
            target: operation.selection.words,
            reason: operation.reason,
            changed: report.changed.count
        )
        let kept = try operation.idempotencyKey.map { _ in
            String(decoding: try JSONEncoder().encode(report), as: UTF8.self)
        }
        try write(entry, key: operation.idempotencyKey, report: kept)
        return report
    }

    private func report(of key: String) throws -> OperationReport? {
        let find = try command(.auditByKey)
        find.bind(1, key)
        guard let text = try find.first({ $0.text(0) }) else { return nil }
        return try JSONDecoder().decode(OperationReport.self, from: Data(text.utf8))
    }

    /// The jobs that the operation would change, at most as many as its limit; the others go to the report.
    func choose(
        _ operation: ErrandCore.Operation,
        into report: inout OperationReport,
        at now: Timestamp
    ) throws -> [(row: Int64, id: JobID)] {
        var chosen: [(row: Int64, id: JobID)] = []
        func consider(_ job: SQLiteRow) throws {
            var copy = job.record
            switch Self.decide(operation, on: &copy, delay: .zero, at: now) {
            case .changed:
                if let why = try keyRefusal(for: job.record, as: copy, at: now) {
                    report.refused[job.record.id] = why
                } else {
                    chosen.append((job.row, job.record.id))
                }
            case .unchanged: report.unchanged += 1
            case .refused(let why): report.refused[job.record.id] = why
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
                do {
                    if let job = try job(id) {
                        try consider(job)
                    } else {
                        report.refused[id] = "there is no such job"
                    }
                } catch let error as StoreError where error.code == .corrupt {
                    report.refused[id] = error.message
                }
            }
        case .filter(let filter, let after):
            var walk = try SQLiteWalk(filter, after: after, scanLimit: 100_000, in: self)
            while chosen.count < operation.limit, let job = try walk.next(in: self) { try consider(job) }
            if walk.isBounded {
                report.next = walk.last
            } else if chosen.count == operation.limit {
                let last = walk.last
                if try walk.next(in: self) != nil || walk.isBounded { report.next = last }
            }
        }
        return chosen
    }

    private func delay(of operation: ErrandCore.Operation, _ place: Int, of count: Int) -> Duration {
        guard case .retry(let spread) = operation.action, spread > .zero, count > 0 else { return .zero }
        return spread / count * place
    }

    /// Applies the action to a copy or a row's record; deleting changes nothing here.
    private static func decide(
        _ operation: ErrandCore.Operation,
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

    private func apply(
        _ operation: ErrandCore.Operation,
        to job: inout SQLiteRow,
        delay: Duration,
        at now: Timestamp
    ) throws -> JobRecord.Change {
        var copy = job.record
        let wasFinal = copy.state.isFinal
        let decided = Self.decide(operation, on: &copy, delay: delay, at: now)
        guard decided == .changed else { return decided }
        if case .delete = operation.action {
            try remove(job, at: now)
            return .changed
        }
        if let why = try keyRefusal(for: job.record, as: copy, at: now) { return .refused(why) }
        let runsAgain = wasFinal && !copy.state.isFinal
        if runsAgain {
            try run(.deleteResult, of: job.row)
            try run(.deleteCheckpoints, of: job.row)
            copy.progress = nil
        }
        if copy.state == .running, copy.cancelRequest != nil { effects.cancelled.append(copy.id) }
        let changed = copy
        try change(&job, at: now) { $0 = changed }
        if runsAgain, let rule = copy.unique, rule.scope.ttl == nil, copy.holdsUniqueKey {
            try giveKey(rule, to: copy.id, storedAt: copy.createdAt, copy.state)
        }
        return .changed
    }
}
