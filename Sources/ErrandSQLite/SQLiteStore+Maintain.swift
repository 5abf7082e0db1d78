// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension SQLiteStore {
    public func maintain(_ task: MaintenanceTask) async throws -> MaintenanceReport {
        switch task {
        case .rescue(let silence, let asking):
            try await write { session, now in try session.rescue(silence: silence, sparing: asking, at: now) }
        case .expire: try await write { session, now in try session.expire(at: now) }
        case .prune(let policy): try await write { session, now in try session.prune(policy, at: now) }
        case .sweep: try await write { session, now in try session.sweep(at: now) }
        case .findOrphans(let age): try await read { session, now in try session.findOrphans(olderThan: age, at: now) }
        case .recount: try await recount()
        }
    }

    /// Counts in a snapshot of its own, which stops nobody, and adds the difference: whatever is written meanwhile
    /// changes count and rows alike, so the difference stays right.
    private func recount() async throws -> MaintenanceReport {
        let differences = try await read { session, _ in try session.differences() }
        guard !differences.isEmpty else { return MaintenanceReport() }
        try await write { session, _ in
            for difference in differences {
                session.effects.tally(lane: difference.lane, difference.state, difference.missing)
            }
        }
        return MaintenanceReport(affected: differences.count)
    }
}

extension SQLiteSession {
    /// The most rows one bite changes.
    static let bite = 1000
    /// How long the report of an operation is remembered for its repeats.
    private static let reportAge: Duration = .hours(24)
    /// The most lines of the audit.
    private static let auditLines = 10_000

    func expire(at now: Timestamp) throws -> MaintenanceReport {
        var report = MaintenanceReport()
        for pause in try storedPauses() {
            guard let until = pause.until, until <= now else { continue }
            try deleteControl(pause.scope)
            effects.controls = true
        }
        for row in try rows(.endedHolds, upTo: now, limit: Self.bite) {
            report.affected += 1
            guard var job = try jobOrHold(row: row, at: now) else { continue }
            try change(&job, at: now) { _ = $0.release() }
        }
        for row in try rows(.lateRows, upTo: now, limit: Self.bite - report.affected) {
            report.affected += 1
            guard var job = try jobOrHold(row: row, at: now), job.record.state.isPending else { continue }
            try change(&job, at: now) { $0.expire(at: now) }
        }
        report.hasMore = report.affected >= Self.bite
        return report
    }

    private func rows(_ query: SQLiteQuery, upTo now: Timestamp, limit: Int) throws -> [Int64] {
        let find = try command(query)
        find.bind(1, now.microseconds)
        find.bind(2, limit)
        return try find.all { $0.int64(0) }
    }

    func prune(_ policy: RetentionPolicy, at now: Timestamp) throws -> MaintenanceReport {
        var report = MaintenanceReport()
        var queues: [QueueName: [Int64]] = [:]
        for lane in try allLanes().values { queues[lane.queue, default: []].append(lane.number) }
        let tallies = try tallies()
        for queue in queues.keys.sorted() {
            let lanes = queues[queue] ?? []
            for state in JobState.allCases where state.isFinal {
                let wanted = policy.bite - report.affected
                let doomed = try doomed(of: lanes, state, policy, tallies, limit: wanted + 1, at: now)
                for row in doomed.prefix(wanted) {
                    report.affected += 1
                    guard let job = try jobOrHold(row: row, at: now) else { continue }
                    try remove(job, at: now)
                }
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
        of lanes: [Int64],
        _ state: JobState,
        _ policy: RetentionPolicy,
        _ tallies: [SQLiteTally],
        limit: Int,
        at now: Timestamp
    ) throws -> [Int64] {
        let kept = tallies.filter { $0.state == state && lanes.contains($0.lane) }
        let count = kept.reduce(0) { $0 + $1.count }
        guard count > 0 else { return [] }
        let surplus = policy.maximum.map { max(count - $0, 0) } ?? 0
        let cutoff = policy.ages[state].map { (now - $0).microseconds } ?? .min
        var oldest: [(row: Int64, finishedAt: Int64)] = []
        for tally in kept where tally.count > 0 {
            let find = try command(surplus > 0 ? .oldestFinished : .finishedBefore)
            find.bind(1, tally.lane)
            find.bind(2, state.rawValue)
            if surplus == 0 { find.bind(3, cutoff) }
            find.bind(surplus > 0 ? 3 : 4, limit)
            oldest += try find.all { (row: $0.int64(0), finishedAt: $0.int64(1)) }
        }
        oldest.sort { ($0.finishedAt, $0.row) < ($1.finishedAt, $1.row) }
        let doomed = oldest.enumerated().prefix { $0.offset < surplus || $0.element.finishedAt <= cutoff }
        return doomed.prefix(limit).map(\.element.row)
    }

    func sweep(at now: Timestamp) throws -> MaintenanceReport {
        var report = MaintenanceReport()
        report.affected += try delete(.expiredResults, now.microseconds, limit: Self.bite)
        report.affected += try freeExpiredKeys(at: now, limit: Self.bite)
        report.affected += try delete(.oldCounters, (now - SeriesPoint.kept).minute, limit: Self.bite)
        report.affected += try sweepMoves(limit: Self.bite, at: now)
        report.affected += try sweepSchedules(limit: Self.bite, at: now)
        report.hasMore = report.affected >= Self.bite
        let reports = try command(.oldReports)
        reports.bind(1, (now - Self.reportAge).microseconds)
        report.affected += try reports.run()
        let audit = try command(.oldAudit)
        audit.bind(1, Self.auditLines)
        report.affected += try audit.run()
        return report
    }

    func delete(_ query: SQLiteQuery, _ limitValue: Int64, limit: Int) throws -> Int {
        let delete = try command(query)
        delete.bind(1, limitValue)
        delete.bind(2, limit)
        return try delete.run()
    }

    func findOrphans(olderThan age: Duration, at now: Timestamp) throws -> MaintenanceReport {
        var known: [JobName: Int] = [:]
        for worker in try allWorkers() where !worker.isDead {
            known.merge(worker.registration.names, uniquingKeysWith: max)
        }
        var report = MaintenanceReport()
        let lanes = try allLanes().values
        for lane in lanes.sorted(by: { ($0.queue, $0.name, $0.version) < ($1.queue, $1.name, $1.version) }) {
            if let version = known[lane.name], lane.version <= version { continue }
            guard let since = try oldestReady(in: lane.number), since + age <= now else { continue }
            let find = try command(.readyOfLane)
            find.bind(1, lane.number)
            find.bind(2, BoundedCount.defaultLimit * 10)
            let count = try find.first { $0.int(0) } ?? 0
            let orphan = OrphanedName(
                queue: lane.queue,
                name: lane.name,
                version: lane.version,
                count: count,
                since: since
            )
            report.orphans.append(orphan)
        }
        return report
    }

    /// Where the kept counts and the rows disagree.
    func differences() throws -> [(lane: Int64, state: JobState, missing: Int)] {
        var missing: [SQLiteTally.Key: Int] = [:]
        for tally in try tallies() { missing[tally.key, default: 0] -= tally.count }
        for tally in try command(.groupJobs).all(SQLiteTally.init) { missing[tally.key, default: 0] += tally.count }
        return missing.filter { $0.value != 0 }.map { ($0.key.lane, $0.key.state, $0.value) }
    }
}

/// How many jobs of a lane are in a state.
struct SQLiteTally {
    struct Key: Hashable {
        var lane: Int64
        var state: JobState
    }

    var lane: Int64
    var state: JobState
    var count: Int
    var key: Key { Key(lane: lane, state: state) }

    init(_ row: SQLiteCommand) throws {
        guard let state = JobState(rawValue: row.int(1)) else { throw StoreError.unreadable("count") }
        (lane, self.state, count) = (row.int64(0), state, row.amount(2))
    }
}

extension SQLiteSession {
    func tallies() throws -> [SQLiteTally] { try command(.allTallies).all(SQLiteTally.init) }
}
