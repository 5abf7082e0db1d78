// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension PostgresStore {
    /// The most entries, and bytes of their jobs, of one transaction.
    private static let partEntries = 5000
    private static let partBytes = 16 << 20

    public func changeSchedules(_ changes: [ScheduleChange]) async throws -> [ScheduleChangeAnswer] {
        let drafts = try changes.map { change throws(StoreError) in try ScheduleDraft(change) }
        let jobs = changes.flatMap { $0.entries.compactMap(\.job) }
        try await makeLanes(for: jobs.filter { PostgresInsert.problem(with: $0) == nil })
        var answers: [ScheduleChangeAnswer] = []
        var start = 0
        while start < drafts.count {
            var (end, entries, bytes) = (start, 0, 0)
            while end < drafts.count, entries < Self.partEntries, bytes < Self.partBytes {
                let jobs = drafts[end].change.entries
                entries += 1 + jobs.count
                bytes += jobs.reduce(0) { $0 + ($1.job?.payload.bytes.count ?? 0) }
                end += 1
            }
            answers += try await change(Array(drafts[start..<end]))
            start = end
        }
        return answers
    }

    /// Changes schedules all together, or each alone when one waits for a unique key that a transaction is writing which
    /// does not end. That one is put off: its maker finds it as it was, and comes again.
    private func change(_ drafts: [ScheduleDraft]) async throws -> [ScheduleChangeAnswer] {
        let patience = configuration.keyTimeout
        do {
            return try await write { session in try session.change(drafts, keyTimeout: patience) }
        } catch let error as StoreError where error.isLockTimeout && drafts.count > 1 {
            var answers: [ScheduleChangeAnswer] = []
            var isPutOff: [Bool] = []
            for draft in drafts {
                do {
                    answers += try await write { session in try session.change([draft], keyTimeout: patience) }
                    isPutOff.append(false)
                } catch let error as StoreError where error.isLockTimeout {
                    answers.append(.stale)
                    isPutOff.append(true)
                }
            }
            if isPutOff.allSatisfy(\.self) { throw error }
            return answers
        }
    }
}

extension PostgresSession {
    /// Changes schedules, each as a whole or not at all, with as many statements for many as for one.
    func change(_ drafts: [ScheduleDraft], keyTimeout: Duration) throws -> [ScheduleChangeAnswer] {
        let versions = try lockSchedules(Set(drafts.map(\.change.id)))
        // After the locks: from now on nobody else decides for these schedules.
        let taken = try taken(PostgresSchedulePlan.places(of: drafts))
        var plan = PostgresSchedulePlan(drafts, versions: versions, taken: taken)
        try put(plan.after, known: versions)
        let jobs = plan.jobs
        if !jobs.isEmpty {
            if jobs.contains(where: { $0.unique != nil }) {
                try link.run("SET LOCAL lock_timeout = \(keyTimeout.wholeMicroseconds / 1000)")
            }
            plan.note(try insert(jobs))
        }
        try put(plan.ticks)
        for line in plan.audit { try write(line) }
        if plan.wakesSchedulers { effects.controls = true }
        return plan.answers
    }

    /// Locks the schedules that are there, in the order of their names.
    /// - Returns: Their versions.
    private func lockSchedules(_ ids: Set<ScheduleID>) throws -> [ScheduleID: Int64] {
        let found = try query(.lockSchedules, [.texts(ids.map(\.rawValue))])
        let rows = (0..<found.count).map { (ScheduleID(found.text($0, 0)), found.int64($0, 1)) }
        return Dictionary(rows) { first, _ in first }
    }

    private func put(_ after: [ScheduleID: ScheduleRow?], known: [ScheduleID: Int64]) throws {
        let rows = after.values.compactMap(\.self).sorted { $0.record.id < $1.record.id }
        let new = rows.filter { known[$0.record.id] == nil }
        if !new.isEmpty, try query(.addSchedules, new.values).affected < new.count {
            // Somebody made one of the same name since the look; the next try sees it.
            throw PostgresFailure(.refused, code: "40001", "a schedule was made by two at once")
        }
        let changed = rows.filter { known[$0.record.id] != nil }
        if !changed.isEmpty { try query(.putSchedules, changed.values) }
        let gone = after.filter { $0.value == nil && known[$0.key] != nil }.keys
        if !gone.isEmpty { try query(.deleteSchedules, [.texts(gone.map(\.rawValue))]) }
    }
}
