// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import Foundation

extension PostgresStore {
    public func setControls(_ changes: [ControlChange]) async throws {
        guard !changes.isEmpty else { return }
        try await write { session in
            for change in changes { try session.apply(change) }
        }
    }

    public func operate(_ operation: ErrandCore.Operation) async throws -> OperationReport {
        if operation.isDryRun {
            return try await read { session in
                var report = OperationReport()
                report.changed = try session.choose(operation, into: &report)
                return report
            }
        }
        return try await write { session in try session.operate(operation) }
    }
}

extension PostgresSession {
    // MARK: Controls

    func apply(_ change: ControlChange) throws {
        switch change {
        case .pause(let scope, let actor, let reason, let lasting):
            let until = lasting.map { (now + $0).microseconds }
            try query(
                .putControl,
                [
                    .text(scope.stored), .text(actor.storable), .text(reason.storable), .int(now.microseconds),
                    .int(until),
                ]
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

    @discardableResult
    func deleteControl(_ scope: Pause.Scope) throws -> Bool {
        try query(.deleteControl, [.text(scope.stored)]).affected > 0
    }

    func storedPauses() throws -> [Pause] {
        let result = try query(.allControls)
        return try (0..<result.count)
            .map { row in
                guard let scope = Pause.Scope(stored: result.text(row, 0)) else { throw StoreError.unreadable("pause") }
                return Pause(
                    scope: scope,
                    actor: result.text(row, 1),
                    reason: result.text(row, 2),
                    since: result.instant(row, 3),
                    until: result.optionalInstant(row, 4)
                )
            }
    }

    /// The pauses that hold.
    func pauses() throws -> [Pause] {
        try storedPauses().filter { $0.until.map { $0 > now } ?? true }
    }

    func write(_ entry: AuditEntry, key: String? = nil, report: String? = nil) throws {
        try query(
            .putAudit,
            [
                .int(entry.at.microseconds), .text(entry.actor.storable), .text(entry.action),
                .text(entry.target.storable), .text(entry.reason.storable), .int(Int64(entry.changed)),
                .text(key?.storable), .text(report),
            ]
        )
    }

    // MARK: Operations

    func operate(_ operation: ErrandCore.Operation) throws -> OperationReport {
        if let key = operation.idempotencyKey, let earlier = try report(of: key) { return earlier }
        var report = OperationReport()
        let all = try choose(operation, into: &report)
        // All locks first, in their order; then each is read again when its turn comes, because an earlier job of the same
        // call may have let this one, its follow-up, go.
        _ = try lock(all)
        for (place, id) in all.enumerated() {
            guard var job = try lockOrHold([id], withPayload: true).first else { continue }
            let delay = delay(of: operation, place, of: all.count)
            switch try apply(operation, to: &job, delay: delay) {
            case .changed: report.changed.append(id)
            case .unchanged: report.unchanged += 1
            case .refused(let why): report.refused[id] = why
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
            String(decoding: try JSONEncoder().encode(report), as: UTF8.self).storable
        }
        try write(entry, key: operation.idempotencyKey, report: kept)
        return report
    }

    private func report(of key: String) throws -> OperationReport? {
        let result = try query(.auditByKey, [.text(key.storable)])
        guard result.count == 1, let text = result.optionalText(0, 0) else { return nil }
        return try JSONDecoder().decode(OperationReport.self, from: Data(text.utf8))
    }

    /// The jobs that the operation would change, at most as many as its limit; the others go to the report.
    func choose(_ operation: ErrandCore.Operation, into report: inout OperationReport) throws -> [JobID] {
        var chosen: [JobID] = []
        func consider(_ job: PostgresRow) throws {
            var copy = job.record
            switch Self.decide(operation, on: &copy, delay: .zero, at: now) {
            case .changed:
                if let why = try keyRefusal(for: job.record, as: copy) {
                    report.refused[job.record.id] = why
                } else {
                    chosen.append(job.record.id)
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
                let result = try query(.jobs, [.uuids([id])])
                guard result.count == 1 else {
                    report.refused[id] = "there is no such job"
                    continue
                }
                switch try readJob(result, 0) {
                case .success(let job): try consider(job)
                case .failure(let error): report.refused[id] = error.message
                }
            }
        case .filter(let filter, let after):
            var walk = try PostgresWalk(filter, after: after, scanLimit: 100_000, in: self)
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
        to job: inout PostgresRow,
        delay: Duration
    ) throws -> JobRecord.Change {
        var copy = job.record
        let wasFinal = copy.state.isFinal
        let decided = Self.decide(operation, on: &copy, delay: delay, at: now)
        guard decided == .changed else { return decided }
        if case .delete = operation.action {
            try remove([job])
            return .changed
        }
        if let why = try keyRefusal(for: job.record, as: copy) { return .refused(why) }
        let runsAgain = wasFinal && !copy.state.isFinal
        if runsAgain {
            try query(.deleteResults, [.uuids([copy.id])])
            copy.progress = nil
        }
        if copy.state == .running, copy.cancelRequest != nil { effects.cancelled.append(copy.id) }
        let changed = copy
        try change(&job) { $0 = changed }
        if runsAgain, let rule = copy.unique, rule.scope.ttl == nil, copy.holdsUniqueKey {
            try giveKey(rule, to: copy.id, storedAt: copy.createdAt, copy.state)
        }
        return .changed
    }
}
