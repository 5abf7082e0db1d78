// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import HeapModule

extension MemoryStore {
    /// Does one bite of maintenance, at most 1,000 rows; see ``/ErrandCore/JobStore/maintain(_:)``.
    public func maintain(_ task: MaintenanceTask) async throws -> MaintenanceReport {
        try act { table, now in
            switch task {
            case .rescue(let silence, let asking): table.rescue(silence: silence, sparing: asking, at: now)
            case .expire: table.expire(at: now)
            case .prune(let policy): table.prune(policy, at: now)
            case .sweep: table.sweep(at: now)
            case .findOrphans(let age): table.findOrphans(olderThan: age, at: now)
            case .recount: table.recount()
            }
        }
    }
}

extension MemoryTable {
    /// The most rows one bite changes.
    private static let bite = 1000
    /// How long the report of an operation is remembered for its repeats.
    private static let reportAge: Duration = .hours(24)

    mutating func rescue(silence: Duration, sparing asking: WorkerID?, at now: Timestamp) -> MaintenanceReport {
        var report = MaintenanceReport()
        // A beat from the future was written before the clock was set back: it counts from now on.
        for worker in workers.values where worker.lastSeen > now { worker.lastSeen = now }
        let dead = workers.values.filter { now - $0.lastSeen > silence }
        // The one that asks lives: when it is among them, time has jumped and silence proves nothing.
        if dead.contains(where: { $0.registration.id == asking }) { return report }
        for worker in dead.sorted(by: { $0.registration.id < $1.registration.id }) {
            report.deadWorkers.append(worker.registration.id)
            for row in worker.held.sorted(by: { $0.sequence < $1.sequence }) {
                guard report.rescued.count < Self.bite else {
                    report.hasMore = true
                    return report
                }
                let settled = change(row, at: now) { $0.rescue(at: now) }
                row.tally.count(.crashed, at: now)
                keep(settled, of: row, at: now)
                report.rescued[row.record.id] = row.record.state
            }
            workers[worker.registration.id] = nil
        }
        return report
    }

    mutating func expire(at now: Timestamp) -> MaintenanceReport {
        var report = MaintenanceReport()
        for pause in pauses.values {
            guard let until = pause.until, until <= now else { continue }
            pauses[pause.scope] = nil
            effects.controls = true
        }
        while report.affected < Self.bite, let entry = holds.first(), entry.key <= now.microseconds {
            change(entry.row, at: now) { _ = $0.release() }
            report.affected += 1
        }
        while report.affected < Self.bite, let entry = expiries.first(), entry.key <= now.microseconds {
            change(entry.row, at: now) { $0.expire(at: now) }
            report.affected += 1
        }
        report.hasMore = report.affected == Self.bite
        return report
    }

    mutating func prune(_ policy: RetentionPolicy, at now: Timestamp) -> MaintenanceReport {
        var report = MaintenanceReport()
        let finals = JobState.allCases.filter(\.isFinal)
        for queue in queues.values.sorted(by: { $0.name < $1.name }) {
            for (line, state) in finals.enumerated() {
                let maximum = policy.maximum ?? .max
                let cutoff = policy.ages[state].map { now - $0 }
                while let entry = queue.finished[line].first() {
                    let isOld = cutoff.map { entry.key <= $0.microseconds } ?? false
                    guard isOld || queue.finished[line].live > maximum else { break }
                    guard report.affected < policy.bite else {
                        report.hasMore = true
                        return report
                    }
                    remove(entry.row, at: now)
                    report.affected += 1
                }
            }
        }
        return report
    }

    mutating func sweep(at now: Timestamp) -> MaintenanceReport {
        var report = MaintenanceReport()
        while report.affected < Self.bite, let entry = results.first(), entry.key <= now.microseconds {
            dropResult(of: entry.row)
            report.affected += 1
        }
        while report.affected < Self.bite, let end = keyEnds.heap.min, end.at <= now {
            keyEnds.heap.removeMin()
            guard keys[end.key]?.expiresAt == end.at else { continue }
            free(end.key, at: now)
            report.affected += 1
        }
        report.hasMore = report.affected == Self.bite
        while let key = reportOrder.first, let kept = reports[key], kept.at + Self.reportAge <= now {
            reports[key] = nil
            reportOrder.removeFirst()
            report.affected += 1
        }
        report.affected += moves.sweep(at: now)
        report.affected += schedules.sweep(at: now, most: Self.bite)
        let oldest = (now - SeriesPoint.kept).minute
        for queue in queues.values {
            for tally in queue.tallies.values {
                report.affected += tally.sweep(before: oldest)
                if tally.isEmpty { queue.tallies[tally.name] = nil }
            }
            if queue.rows == 0 && queue.tallies.isEmpty { queues[queue.name] = nil }
        }
        return report
    }

    mutating func findOrphans(olderThan age: Duration, at now: Timestamp) -> MaintenanceReport {
        struct Group: Hashable {
            let name: JobName
            let version: Int
        }
        var known: [JobName: Int] = [:]
        for worker in workers.values { known.merge(worker.registration.names, uniquingKeysWith: max) }
        var report = MaintenanceReport()
        for queue in queues.values.sorted(by: { $0.name < $1.name }) {
            var groups: [Group: (count: Int, since: Timestamp)] = [:]
            for lane in queue.lanes.values {
                if let version = known[lane.key.name], lane.key.version <= version { continue }
                guard let since = lane.order.first()?.row.record.runAt else { continue }
                let group = Group(name: lane.key.name, version: lane.key.version)
                let (count, earlier) = groups[group] ?? (0, since)
                groups[group] = (count + lane.order.live, min(earlier, since))
            }
            let old = groups.filter { $0.value.since + age <= now }
            for (group, found) in old.sorted(by: { ($0.key.name, $0.key.version) < ($1.key.name, $1.key.version) }) {
                report.orphans.append(
                    OrphanedName(
                        queue: queue.name,
                        name: group.name,
                        version: group.version,
                        count: found.count,
                        since: found.since
                    )
                )
            }
        }
        return report
    }

    mutating func recount() -> MaintenanceReport {
        var counts: [ObjectIdentifier: [Int]] = [:]
        for row in rows.values {
            let none = [Int](repeating: 0, count: JobState.allCases.count)
            counts[ObjectIdentifier(row.tally), default: none][row.record.state.rawValue] += 1
        }
        var report = MaintenanceReport()
        for tally in queues.values.flatMap(\.tallies.values) {
            let none = [Int](repeating: 0, count: JobState.allCases.count)
            let exact = counts[ObjectIdentifier(tally)] ?? none
            for (state, count) in exact.enumerated() where tally.counts[state] != count {
                tally.counts[state] = count
                report.affected += 1
            }
        }
        return report
    }
}
