// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// The most jobs that one call changes; the report says where to go on. The change, its line in the audit and the
    /// report are one script, and it must not keep the server from others for long.
    private static let mostChanged = 1000

    /// Carries out an operator's change; see ``/ErrandCore/JobStore/operate(_:)``.
    ///
    /// At most 1,000 jobs a call, whatever its limit. Idempotency keys are kept 24 hours.
    public func operate(_ operation: ErrandCore.Operation) async throws -> OperationReport {
        try await perform { () throws(StoreError) in
            let key = operation.isDryRun ? nil : operation.idempotencyKey
            if let key, let earlier = try await report(of: key) { return earlier }
            let limit = min(operation.limit, Self.mostChanged)
            var report = OperationReport()
            let ids: [JobID]
            switch operation.selection {
            case .ids(let asked):
                var seen: Set<JobID> = []
                ids = asked.filter { seen.insert($0).inserted }
            case .filter(let filter, let after):
                ids = try await choose(operation, filter, after: after, limit: limit, into: &report)
            }
            let start = report
            // More than can change may have been asked for; what is behind them is read only when it is their turn.
            let first = Array(ids.prefix(2 * limit))
            let found = try await decide(
                first,
                withPayload: operation.action.changesArguments,
                isDryRun: operation.isDryRun
            ) { table throws(Missing) in
                var report = start
                try table.operate(operation, on: first, limit: limit, into: &report)
                if first.count < ids.count, report.next == nil { report.next = first.last }
                if !operation.isDryRun { table.note(operation, report, as: key) }
                return report
            }
            if let key, let kept = try await self.report(of: key) { return kept }
            return found
        }
    }

    private func report(of key: String) async throws(StoreError) -> OperationReport? {
        let words = ["HGET", "g", key].map { ByteBuffer(string: $0) }
        guard let bytes = try await fetch([words]).answers.first?.buffer else { return nil }
        return try OperationReport(stored: bytes)
    }

    /// The jobs that a filter means and that the operation would change; the others go to the report.
    private func choose(
        _ operation: ErrandCore.Operation,
        _ filter: JobFilter,
        after: JobID?,
        limit: Int,
        into report: inout OperationReport
    ) async throws(StoreError) -> [JobID] {
        let now = try await fetch([]).now
        var chosen: [JobID] = []
        var walk = RedisWalk(filter, after: after, scanLimit: 100_000, in: self)
        while chosen.count < limit, let record = try await walk.next() {
            var copy = record
            switch RedisTable.decide(operation, on: &copy, delay: .zero, at: now) {
            case .changed: chosen.append(record.id)
            case .unchanged: report.unchanged += 1
            case .refused(let why): report.refused[record.id] = why
            }
        }
        if walk.isBounded {
            report.next = walk.last
        } else if chosen.count == limit {
            let last = walk.last
            if try await walk.next() != nil || walk.isBounded { report.next = last }
        }
        return chosen
    }
}

extension RedisTable {
    /// Writes the audit line and, for a key, the report.
    fileprivate mutating func note(_ operation: ErrandCore.Operation, _ report: OperationReport, as key: String?) {
        let line = AuditEntry(
            at: now,
            actor: operation.actor,
            action: operation.action.word,
            target: operation.selection.words,
            reason: operation.reason,
            changed: report.changed.count
        )
        extras += RedisWrite.audit(line)
        guard let key else { return }
        let name = ByteBuffer(string: key)
        // Whoever writes a report first is right; a second one of the same key would have to read it.
        extras.append(RedisWrite(ByteBuffer(string: "HSETNX"), ByteBuffer(string: "g"), name, report.bytes))
        extras.append(
            RedisWrite(
                ByteBuffer(string: "ZADD"),
                ByteBuffer(string: "G"),
                RedisWriter.score(now.microseconds),
                name
            )
        )
        conditions.append(("g", name, ByteBuffer()))
    }
}
