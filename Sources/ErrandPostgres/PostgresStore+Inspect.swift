// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension PostgresStore {
    public func jobs(_ ids: [JobID], parts: JobParts) async throws -> [JobRecord] {
        guard !ids.isEmpty else { return [] }
        if parts.isSubset(of: .payload) {
            return try await look { session in try session.records(ids, parts: parts) }
        }
        return try await read { session in try session.records(ids, parts: parts) }
    }

    public func list(_ filter: JobFilter, page: JobPageRequest) async throws -> JobPage {
        try await read { session in try session.list(filter, page: page) }
    }

    public func count(_ filter: JobFilter, limit: Int) async throws -> BoundedCount {
        try await read { session in try session.count(filter, limit: limit) }
    }

    public func counts() async throws -> JobCounts {
        let counts = try await read { session in try session.counts() }
        await foldIfMany()
        return counts
    }

    public func series(_ request: SeriesRequest) async throws -> [SeriesPoint] {
        try await read { session in try session.series(request) }
    }

    public func workers() async throws -> [WorkerRecord] {
        try await look { session in
            try session.allWorkers(counting: true).filter { !$0.isDead }
                .map {
                    WorkerRecord(
                        registration: $0.registration,
                        startedAt: $0.startedAt,
                        lastSeen: $0.lastSeen,
                        running: $0.running
                    )
                }
                .sorted { ($0.startedAt, $0.registration.id) < ($1.startedAt, $1.registration.id) }
        }
    }

    public func pauses() async throws -> [Pause] {
        try await read { session in
            try session.pauses().sorted { ($0.since, $0.scope.words) < ($1.since, $1.scope.words) }
        }
    }

    public func audit(limit: Int) async throws -> [AuditEntry] {
        try await look { session in
            let result = try session.query(.newestAudit, [.int(Int64(max(limit, 0)))])
            return (0..<result.count).map { session.auditEntry(result, $0) }
        }
    }
}

extension PostgresSession {
    /// The most rows a count looks at.
    private static let scanLimit = 100_000
    /// The most ready rows of a lane that are looked at for the oldest.
    private static let oldestScan = 1000

    /// A line of the audit, its columns from the first on.
    func auditEntry(_ result: PostgresResult, _ row: Int) -> AuditEntry {
        AuditEntry(
            at: result.instant(row, 0),
            actor: result.text(row, 1),
            action: result.text(row, 2),
            target: result.text(row, 3),
            reason: result.text(row, 4),
            changed: result.int(row, 5)
        )
    }

    func records(_ ids: [JobID], parts: JobParts) throws -> [JobRecord] {
        let rows = try read(ids, withPayload: parts.contains(.payload))
        var records = Dictionary(rows.map { ($0.record.id, $0.record) }) { first, _ in first }
        try add(parts, of: ids, to: &records)
        return ids.compactMap { records[$0] }
    }

    /// Adds what is kept beside the rows.
    func add(_ parts: JobParts, of ids: [JobID], to records: inout [JobID: JobRecord]) throws {
        if parts.contains(.result) {
            let found = try query(.resultsOfJobs, [.uuids(ids), .int(now.microseconds)])
            for row in 0..<found.count {
                if let id = found.id(row, 0) { records[id]?.result = Self.payload(found, row, from: 1) }
            }
        }
        if parts.contains(.attempts) { try addAttempts(of: ids, to: &records) }
        if parts.contains(.log) {
            let found = try query(.linesOfJobs, [.uuids(ids)])
            for row in 0..<found.count {
                guard let id = found.id(row, 0) else { continue }
                let line = LogLine(at: found.instant(row, 1), level: found.text(row, 2), message: found.text(row, 3))
                records[id]?.log.append(line)
            }
        }
        if parts.contains(.checkpoints) {
            let found = try query(.checkpointsOfJobs, [.uuids(ids)])
            for row in 0..<found.count {
                guard let id = found.id(row, 0) else { continue }
                records[id]?.checkpoints[found.text(row, 1)] = Self.payload(found, row, from: 2)
            }
        }
    }

    private static func payload(_ result: PostgresResult, _ row: Int, from column: Int) -> Payload {
        Payload(
            bytes: result.bytes(row, column + 2),
            format: result.optionalText(row, column + 1).map(Payload.Format.init) ?? .json,
            version: result.int(row, column)
        )
    }

    private func addAttempts(of ids: [JobID], to records: inout [JobID: JobRecord]) throws {
        let found = try query(.attemptsOfJobs, [.uuids(ids)])
        for row in 0..<found.count {
            guard let id = found.id(row, 0), let worker = found.id(row, 4).flatMap({ WorkerID(bytes: $0.bytes) }),
                let ending = Attempt.Ending(rawValue: found.text(row, 7))
            else { throw StoreError.unreadable("attempt") }
            let attempt = Attempt(
                run: found.int(row, 1),
                number: found.int(row, 2),
                epoch: found.int64(row, 3),
                worker: worker,
                startedAt: found.instant(row, 5),
                endedAt: found.instant(row, 6),
                ending: ending,
                error: try found.optionalText(row, 8).map { try StoredError(stored: Self.read($0, FlatJSON.list)) }
            )
            records[id]?.attempts.append(attempt)
        }
    }

    func list(_ filter: JobFilter, page: JobPageRequest) throws -> JobPage {
        var walk = try PostgresWalk(filter, after: page.after, scanLimit: page.scanLimit, in: self)
        var jobs: [JobRecord] = []
        while jobs.count < page.limit, let job = try walk.next(in: self) {
            var record = job.record
            record.payload.bytes = []
            jobs.append(record)
        }
        guard jobs.count == page.limit else {
            return JobPage(jobs: jobs, next: walk.isBounded ? walk.last : nil, isBounded: walk.isBounded)
        }
        // One more look tells whether there is anything behind a full page.
        let hasMore = try walk.next(in: self) != nil || walk.isBounded
        return JobPage(jobs: jobs, next: hasMore ? jobs.last?.id : nil, isBounded: false)
    }

    func count(_ filter: JobFilter, limit: Int) throws -> BoundedCount {
        var plain = filter
        (plain.states, plain.queues, plain.names) = ([], [], [])
        if plain == JobFilter() {
            let lanes = try allLanes()
            let sum = try tallies()
                .reduce(0) { sum, tally in
                    guard let lane = lanes[tally.lane],
                        filter.states.isEmpty || filter.states.contains(tally.state),
                        filter.queues.isEmpty || filter.queues.contains(lane.queue),
                        filter.names.isEmpty || filter.names.contains(lane.name)
                    else { return sum }
                    return sum + tally.count
                }
            return BoundedCount(value: min(sum, max(limit, 0)), isExact: sum <= limit)
        }
        var walk = try PostgresWalk(filter, after: nil, scanLimit: Self.scanLimit, in: self)
        var value = 0
        while try walk.next(in: self) != nil {
            if value >= limit { return BoundedCount(value: value, isExact: false) }
            value += 1
        }
        return BoundedCount(value: value, isExact: !walk.isBounded)
    }

    /// How many jobs of a lane are in a state.
    func tallies() throws -> [(lane: Int64, state: JobState, count: Int)] {
        let result = try query(.tallies)
        return try (0..<result.count)
            .map { row in
                guard let state = JobState(rawValue: result.int(row, 1)) else { throw StoreError.unreadable("count") }
                return (result.int64(row, 0), state, result.int(row, 2))
            }
    }

    func counts() throws -> JobCounts {
        struct Key: Hashable {
            var queue: QueueName
            var name: JobName
            var state: JobState
        }
        let lanes = try allLanes()
        var sums: [Key: Int] = [:]
        var oldest: [QueueName: Timestamp] = [:]
        for tally in try tallies() {
            guard let lane = lanes[tally.lane] else { continue }
            sums[Key(queue: lane.queue, name: lane.name, state: tally.state), default: 0] += tally.count
            if tally.state == .ready, let since = try oldestReady(in: lane.number) {
                oldest[lane.queue] = min(oldest[lane.queue] ?? since, since)
            }
        }
        let rows = sums.filter { $0.value != 0 }
            .map { JobCount(queue: $0.key.queue, name: $0.key.name, state: $0.key.state, count: $0.value) }
            .sorted { ($0.queue, $0.name, $0.state) < ($1.queue, $1.name, $1.state) }
        return JobCounts(rows: rows, oldestReady: oldest, at: now)
    }

    /// When the oldest ready job of a lane became ready.
    ///
    /// The index is by rank, which is that time less up to 45 minutes of priority: of the rows that were read, those
    /// count up to which no later one can be older.
    func oldestReady(in lane: Int64) throws -> Timestamp? {
        let floor = shared.floors.floor(of: lane) ?? .min
        let result = try query(.oldestReady, [.int(lane), .int(Int64(Self.oldestScan)), .int(floor)])
        var oldest: Int64?
        for row in 0..<result.count {
            if let oldest, result.int64(row, 0) >= oldest { break }
            oldest = min(oldest ?? .max, result.int64(row, 1))
        }
        return oldest.map(Timestamp.init(microseconds:))
    }

    func series(_ request: SeriesRequest) throws -> [SeriesPoint] {
        guard request.from < request.before else { return [] }
        let lanes = try allLanes()
        let before = Timestamp(microseconds: request.before.microseconds - 1).minute + 1
        let found = try query(.counters, [.int(request.from.minute), .int(before)])
        var points: [SeriesPoint] = []
        var minute: [PostgresSeriesKey: Int] = [:]
        var current: Int64?
        // Versions of a name are separate lanes and one point.
        for row in 0..<found.count {
            if current != found.int64(row, 0) {
                points += PostgresSeriesKey.points(of: minute, at: current)
                minute.removeAll(keepingCapacity: true)
                current = found.int64(row, 0)
                if points.count >= SeriesRequest.largest { break }
            }
            guard let lane = lanes[found.int64(row, 1)], let metric = SeriesMetric(rawValue: found.int(row, 2)),
                (request.queue ?? lane.queue) == lane.queue, (request.name ?? lane.name) == lane.name,
                request.metrics.isEmpty || request.metrics.contains(metric)
            else { continue }
            let key = PostgresSeriesKey(queue: lane.queue, name: lane.name, metric: metric, bucket: found.int(row, 3))
            minute[key, default: 0] += found.int(row, 4)
        }
        points += PostgresSeriesKey.points(of: minute, at: current)
        return Array(points.prefix(SeriesRequest.largest))
    }
}

/// What the points of one minute are told apart by.
struct PostgresSeriesKey: Hashable {
    var queue: QueueName
    var name: JobName
    var metric: SeriesMetric
    var bucket: Int

    static func points(of minute: [PostgresSeriesKey: Int], at number: Int64?) -> [SeriesPoint] {
        guard let number else { return [] }
        return
            minute.sorted {
                ($0.key.queue, $0.key.name, $0.key.metric.rawValue, $0.key.bucket)
                    < ($1.key.queue, $1.key.name, $1.key.metric.rawValue, $1.key.bucket)
            }
            .map { key, value in
                SeriesPoint(
                    minute: number,
                    queue: key.queue,
                    name: key.name,
                    metric: key.metric,
                    bucket: key.bucket,
                    value: value
                )
            }
    }
}
