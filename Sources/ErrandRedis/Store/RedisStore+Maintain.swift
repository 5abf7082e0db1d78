// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// The most rows one bite changes.
    static let bite = 1000
    /// How long the report of an operation is remembered for its repeats.
    private static let reportAge: Duration = .hours(24)

    /// Does one bite of maintenance, at most 1,000 rows; see ``/ErrandCore/JobStore/maintain(_:)``.
    ///
    /// A recount looks at all rows; on a store that is written all the time it may throw `unavailable`.
    public func maintain(_ task: MaintenanceTask) async throws -> MaintenanceReport {
        try await perform { () throws(StoreError) in
            switch task {
            case .rescue(let silence, let asking): try await rescue(silence: silence, sparing: asking)
            case .expire: try await expire()
            case .prune(let policy): try await prune(policy)
            case .sweep: try await sweep()
            case .findOrphans(let age): try await findOrphans(olderThan: age)
            case .recount: try await recount()
            }
        }
    }

    private func expire() async throws(StoreError) -> MaintenanceReport {
        var report = MaintenanceReport()
        // Most of the time there is nothing to do, which one look tells.
        let looks = [
            ["HGETALL", "p"], ["ZRANGE", "o", "0", "0", "WITHSCORES"], ["ZRANGE", "e", "0", "0", "WITHSCORES"],
        ]
        let (now, firsts) = try await fetch(looks.map { $0.map { ByteBuffer(string: $0) } })
        let found = firsts.map { $0.elements ?? [] }
        if !found[0].isEmpty { try await endPauses() }
        for (first, set, isHold) in [(found[1], "o", true), (found[2], "e", false)] {
            guard let time = first.last?.text.flatMap(Double.init), time <= Double(now.microseconds) else { continue }
            let due = try await due(in: set, most: Self.bite - report.affected)
            for some in due.bites(of: Self.jobsPerLook) {
                report.affected += try await decide(Array(some)) { table throws(Missing) in
                    let now = table.now
                    var affected = 0
                    for id in some {
                        guard let record = try table.row(id)?.record else { continue }
                        if isHold {
                            guard let until = record.hold?.until, until <= now else { continue }
                            try table.change(id) { _ = $0.release() }
                        } else {
                            guard record.isOverdue(at: now) else { continue }
                            try table.change(id) { $0.expire(at: now) }
                        }
                        affected += 1
                    }
                    return affected
                }
            }
        }
        report.hasMore = report.affected == Self.bite
        return report
    }

    /// The first jobs of a set whose time has come.
    private func due(in set: String, most: Int) async throws(StoreError) -> [JobID] {
        guard most > 0 else { return [] }
        let now = try await fetch([]).now
        let words = ["ZRANGEBYSCORE", set, "-inf", String(now.microseconds), "LIMIT", "0", String(most)]
        return Self.ids(try await fetch([words.map { ByteBuffer(string: $0) }]).answers.first)
    }

    private func endPauses() async throws(StoreError) {
        let (now, pauses) = try await storedPauses()
        let over = pauses.filter { $0.until.map { $0 <= now } ?? false }
        guard !over.isEmpty else { return }
        let conditions = over.map { pause in
            (hash: "p", field: ByteBuffer(string: Pause.field(of: pause.scope)), value: pause.bytes)
        }
        var effects = RedisEffects()
        effects.controls = true
        var writes = over.map { RedisWrite.resume($0.scope) }
        for message in RedisMessage.all(of: effects, origin: origin) {
            writes.append(RedisWrite(ByteBuffer(string: "S"), message))
        }
        if try await write(writes, conditions: conditions) { hub.publish(.controls) }
    }

    // MARK: Deleting

    private func prune(_ policy: RetentionPolicy) async throws(StoreError) -> MaintenanceReport {
        var report = MaintenanceReport()
        let (now, lines) = try await finishedLines()
        for (queue, state, count) in lines {
            let cutoff = policy.ages[state].map { now - $0 }
            let surplus = policy.maximum.map { count > $0 } ?? false
            guard cutoff != nil || surplus else { continue }
            var hasMore = true
            while hasMore {
                let most = min(policy.bite - report.affected, 250)
                let answer = try await run(RedisScripts.prune) { command in
                    command.append(queue.rawValue)
                    command.append(state.rawValue)
                    command.append(cutoff.map { String($0.microseconds) } ?? "")
                    command.append(policy.maximum.map { String($0) } ?? "")
                    command.append(most)
                }
                guard answer.count == 2, let deleted = answer[0].integer else { throw StoreError.oddAnswer }
                report.affected += Int(deleted)
                hasMore = answer[1].integer == 1
                if hasMore, report.affected >= policy.bite {
                    report.hasMore = true
                    return report
                }
                if deleted == 0 { break }
            }
        }
        return report
    }

    /// Every queue and final state that has jobs, with how many.
    private func finishedLines() async throws(StoreError) -> (now: Timestamp, [(QueueName, JobState, Int)]) {
        let finals = JobState.allCases.filter(\.isFinal)
        var lines: [(QueueName, JobState, Int)] = []
        var now = Timestamp.epoch
        let queues = try await queueNames().sorted()
        if queues.isEmpty { now = try await fetch([]).now }
        for some in queues.bites(of: 100) {
            let pairs = some.flatMap { queue in finals.map { (queue, $0) } }
            let found = try await fetch(
                pairs.map { [ByteBuffer(string: "ZCARD"), ByteBuffer(string: RedisWriter.finished($0.0, $0.1))] }
            )
            now = found.now
            for ((queue, state), count) in zip(pairs, found.answers) {
                if let count = count.integer, count > 0 { lines.append((queue, state, Int(count))) }
            }
        }
        return (now, lines)
    }

    /// The names of all queues, a piece at a time.
    func queueNames() async throws(StoreError) -> Set<QueueName> {
        var (names, step) = (Set<QueueName>(), "0")
        repeat {
            let words = ["SSCAN", "q", step, "COUNT", "500"].map { ByteBuffer(string: $0) }
            guard let parts = try await fetch([words]).answers.first?.elements, parts.count == 2,
                let next = parts[0].text
            else { throw StoreError.oddAnswer }
            for name in parts[1].elements ?? [] { names.insert(QueueName(name.text ?? "")) }
            step = next
        } while step != "0"
        return names
    }

    private func sweep() async throws(StoreError) -> MaintenanceReport {
        var report = MaintenanceReport()
        let now = try await fetch([]).now
        var hasMore = true
        while hasMore, report.affected < Self.bite {
            let answer = try await run(RedisScripts.sweep) { command in
                command.append(250)
                command.append((now - SeriesPoint.kept).minute)
                command.append((now - Self.reportAge).microseconds)
                command.append((now - ExportBatch.departuresKept).microseconds)
                command.append((now - ExportBatch.importsKept).microseconds)
            }
            guard answer.count == 2, let swept = answer[0].integer else { throw StoreError.oddAnswer }
            report.affected += Int(swept)
            hasMore = answer[1].integer == 1
        }
        let forgotten = try await forget(before: now - ScheduleRecord.kept)
        report.affected += forgotten.count
        report.hasMore = hasMore || forgotten.hasMore
        let words = ["ZRANGEBYSCORE", "k", "-inf", String(now.microseconds), "LIMIT", "0", "1000"]
        let over = try await fetch([words.map { ByteBuffer(string: $0) }]).answers.first?.elements ?? []
        if over.count == 1000 { report.hasMore = true }
        for some in over.compactMap(\.text).bites(of: 100) {
            report.affected += try await decide([], keys: Array(some)) { table throws(Missing) in
                var freed = 0
                for key in some {
                    guard let end = try table.entry(key)?.expiresAt, end <= table.now else { continue }
                    try table.free(key)
                    freed += 1
                }
                return freed
            }
        }
        return report
    }

    // MARK: Looking

    private func findOrphans(olderThan age: Duration) async throws(StoreError) -> MaintenanceReport {
        struct Group: Hashable {
            let queue: QueueName
            let name: JobName
            let version: Int
        }
        // What is due in a queue that nobody serves waits as well.
        _ = try await run(RedisScripts.promote) { $0.append(Self.bite) }
        var known: [JobName: Int] = [:]
        for worker in try await knownWorkers() { known.merge(worker.registration.names, uniquingKeysWith: max) }
        let (now, lanes) = try await lanes()
        var groups: [Group: (count: Int, since: Timestamp)] = [:]
        for lane in lanes {
            if let version = known[lane.name], lane.version <= version { continue }
            let group = Group(queue: lane.queue, name: lane.name, version: lane.version)
            let (count, since) = groups[group] ?? (0, lane.since)
            groups[group] = (count + lane.count, min(since, lane.since))
        }
        var report = MaintenanceReport()
        report.orphans = groups.filter { $0.value.since + age <= now }
            .map { group, found in
                OrphanedName(
                    queue: group.queue,
                    name: group.name,
                    version: group.version,
                    count: found.count,
                    since: found.since
                )
            }
            .sorted { ($0.queue, $0.name, $0.version) < ($1.queue, $1.name, $1.version) }
        return report
    }
}
