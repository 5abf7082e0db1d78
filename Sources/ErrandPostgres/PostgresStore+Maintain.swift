// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import Synchronization

extension PostgresStore {
    public func maintain(_ task: MaintenanceTask) async throws -> MaintenanceReport {
        switch task {
        case .rescue(let silence, let asking):
            guard try await isTrue(.isAnybodyLost, [moment, .int(silence.wholeMicroseconds)]) else {
                return MaintenanceReport()
            }
            return try await write { session in try session.rescue(silence: silence, sparing: asking) }
        case .expire:
            await foldIfMany()
            guard try await isTrue(.isAnythingOver, [moment]) else { return MaintenanceReport() }
            return try await write { session in try session.expire() }
        case .prune(let policy): return try await write { session in try session.prune(policy) }
        case .sweep:
            try await fold()
            return try await write { session in try session.sweep() }
        case .findOrphans(let age): return try await write { session in try session.findOrphans(olderThan: age) }
        case .recount:
            return try await commit { link, shared in
                // One statement, one snapshot: whatever is written meanwhile changes counts and rows alike.
                let result = try link.query(shared.statements[PostgresQuery.recount.rawValue])
                return MaintenanceReport(affected: result.affected)
            }
        }
    }

    /// A look that needs no transaction: most rounds of an idle worker find nothing to do.
    private func isTrue(_ query: PostgresQuery, _ values: [PostgresValue]) async throws -> Bool {
        try await look { session in try session.query(query, values).bool(0, 0) }
    }

    /// How many appended changes are added up at once, and how many may wait for maintenance.
    private static let foldBite = 20_000
    private static let manyDeltas = 10_000
    /// A transaction appends a few changes: before this process made so many, it adds none worth counting.
    private static let fewCommits = 200

    private func fold() async throws {
        let isFull = try await commit { link, shared in
            let result = try link.query(shared.statements[PostgresQuery.fold.rawValue], [.int(Int64(Self.foldBite))])
            return result.int(0, 0) == Self.foldBite
        }
        if isFull { try await fold() }
    }

    /// Adds up the appended changes of the counts when there are so many that reading them costs.
    ///
    /// What goes wrong is left for the next time.
    func foldIfMany() async {
        let made = commits.load(ordering: .relaxed)
        guard made - foldedAt.load(ordering: .relaxed) >= Self.fewCommits else { return }
        foldedAt.store(made, ordering: .relaxed)
        _ = try? await commit { link, shared in
            let limit = PostgresValue.int(Int64(Self.manyDeltas))
            let count = try link.query(shared.statements[PostgresQuery.manyDeltas.rawValue], [limit])
            guard count.int(0, 0) == Self.manyDeltas else { return }
            try link.query(shared.statements[PostgresQuery.fold.rawValue], [.int(Int64(Self.foldBite))])
        }
    }
}

extension PostgresSession {
    /// How long the report of an operation is remembered for its repeats.
    private static let reportAge: Duration = .hours(24)
    /// The most lines of the audit.
    private static let auditLines = 10_000

    func expire() throws -> MaintenanceReport {
        var report = MaintenanceReport()
        for pause in try storedPauses() {
            guard let until = pause.until, until <= now else { continue }
            try deleteControl(pause.scope)
            effects.controls = true
        }
        for id in try ids(.endedHolds, limit: Self.bite) {
            report.affected += 1
            guard var job = try lockOrHold([id], passing: true).first else { continue }
            try change(&job) { _ = $0.release() }
        }
        report.affected += try expireLate(limit: Self.bite - report.affected)
        report.hasMore = report.affected >= Self.bite
        return report
    }

    /// Expires jobs that were not started in time.
    /// - Returns: How many there were.
    @discardableResult
    func expireLate(limit: Int) throws -> Int {
        let late = try ids(.lateJobs, limit: limit)
        for var job in try lockOrHold(late, passing: true) {
            guard job.record.isOverdue(at: now) else { continue }
            try change(&job) { $0.expire(at: now) }
        }
        return late.count
    }

    /// Makes due jobs ready of queues that nobody serves, so that they are seen as what they are.
    private func promoteAll() throws {
        let due = try query(.dueLanes, [.int(now.microseconds)])
        guard due.count > 0 else { return }
        let lanes = PostgresValue.ints((0..<due.count).map { due.int64($0, 0) })
        try query(.promote, [.int(now.microseconds), lanes, .int(Int64(Self.bite))])
    }

    private func ids(_ which: PostgresQuery, limit: Int) throws -> [JobID] {
        let result = try query(which, [.int(now.microseconds), .int(Int64(limit))])
        return (0..<result.count).compactMap { result.id($0, 0) }
    }

    func prune(_ policy: RetentionPolicy) throws -> MaintenanceReport {
        var report = MaintenanceReport()
        var queues: [QueueName: [Int64]] = [:]
        for lane in try allLanes().values { queues[lane.queue, default: []].append(lane.number) }
        let tallies = try tallies()
        for queue in queues.keys.sorted() {
            let lanes = Set(queues[queue] ?? [])
            for state in JobState.allCases where state.isFinal {
                let kept = tallies.filter { $0.state == state && $0.count > 0 && lanes.contains($0.lane) }
                let wanted = policy.bite - report.affected
                let doomed = try doomed(kept, state, policy, limit: wanted + 1)
                let bite = Array(doomed.prefix(wanted))
                report.affected += bite.count
                try remove(try lockOrHold(bite, passing: true).filter { $0.record.state == state })
                if doomed.count > wanted {
                    report.hasMore = true
                    return report
                }
            }
        }
        return report
    }

    /// The finished rows of a queue that the policy does not keep, oldest first.
    private func doomed(
        _ kept: [(lane: Int64, state: JobState, count: Int)],
        _ state: JobState,
        _ policy: RetentionPolicy,
        limit: Int
    ) throws -> [JobID] {
        let count = kept.reduce(0) { $0 + $1.count }
        guard count > 0 else { return [] }
        let surplus = policy.maximum.map { max(count - $0, 0) } ?? 0
        let cutoff = policy.ages[state].map { (now - $0).microseconds } ?? .min
        var oldest: [(id: JobID, finishedAt: Int64, place: Int64)] = []
        for tally in kept {
            var values: [PostgresValue] = [.int(tally.lane), .int(Int64(state.rawValue))]
            if surplus == 0 { values.append(.int(cutoff)) }
            values.append(.int(Int64(limit)))
            let found = try query(surplus > 0 ? .oldestFinished : .finishedBefore, values)
            for row in 0..<found.count {
                if let id = found.id(row, 0) { oldest.append((id, found.int64(row, 1), found.int64(row, 2))) }
            }
        }
        oldest.sort { ($0.finishedAt, $0.place) < ($1.finishedAt, $1.place) }
        let doomed = oldest.enumerated().prefix { $0.offset < surplus || $0.element.finishedAt <= cutoff }
        return doomed.prefix(limit).map(\.element.id)
    }

    func sweep() throws -> MaintenanceReport {
        var report = MaintenanceReport()
        let bite = PostgresValue.int(Int64(Self.bite))
        report.affected += try query(.expiredResults, [.int(now.microseconds), bite]).affected
        report.affected += try freeExpiredKeys(limit: Self.bite)
        report.affected += try query(.oldCounters, [.int((now - SeriesPoint.kept).minute), bite]).affected
        report.affected += try query(.oldImports, [.int((now - ExportBatch.importsKept).microseconds), bite]).affected
        let departed = (now - ExportBatch.departuresKept).microseconds
        report.affected += try query(.oldDepartures, [.int(departed), bite]).affected
        let decided = PostgresValue.int((now - ScheduleRecord.kept).microseconds)
        report.affected += try query(.oldTicks, [decided, bite]).affected
        report.affected += try query(.oldSchedules, [decided, bite]).affected
        report.hasMore = report.affected >= Self.bite
        report.affected += try query(.oldReports, [.int((now - Self.reportAge).microseconds)]).affected
        report.affected += try query(.oldAudit, [.int(Int64(Self.auditLines))]).affected
        return report
    }

    func findOrphans(olderThan age: Duration) throws -> MaintenanceReport {
        struct Kind: Hashable {
            var queue: QueueName
            var name: JobName
            var version: Int
        }
        try promoteAll()
        var known: [JobName: Int] = [:]
        for worker in try allWorkers() where !worker.isDead {
            known.merge(worker.registration.names, uniquingKeysWith: max)
        }
        var found: [Kind: (count: Int, since: Timestamp)] = [:]
        for lane in try allLanes().values {
            if let version = known[lane.name], lane.version <= version { continue }
            guard let since = try oldestReady(in: lane.number) else { continue }
            let limit = PostgresValue.int(Int64(BoundedCount.defaultLimit * 10))
            let count = try query(.readyOfLane, [.int(lane.number), limit]).int(0, 0)
            let kind = Kind(queue: lane.queue, name: lane.name, version: lane.version)
            let earlier = found[kind] ?? (0, since)
            found[kind] = (earlier.count + count, min(earlier.since, since))
        }
        var report = MaintenanceReport()
        report.orphans = found.filter { $0.value.since + age <= now }
            .map { kind, facts in
                OrphanedName(
                    queue: kind.queue,
                    name: kind.name,
                    version: kind.version,
                    count: facts.count,
                    since: facts.since
                )
            }
            .sorted { ($0.queue, $0.name, $0.version) < ($1.queue, $1.name, $1.version) }
        return report
    }
}
