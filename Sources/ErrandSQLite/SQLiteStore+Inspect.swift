// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension SQLiteStore {
    public func jobs(_ ids: [JobID], parts: JobParts) async throws -> [JobRecord] {
        guard !ids.isEmpty else { return [] }
        return try await read { session, now in
            try ids.compactMap { id in
                guard let row = try session.row(of: id) else { return nil }
                return try session.record(row: row, parts: parts, at: now)
            }
        }
    }

    public func list(_ filter: JobFilter, page: JobPageRequest) async throws -> JobPage {
        try await read { session, _ in try session.list(filter, page: page) }
    }

    public func count(_ filter: JobFilter, limit: Int) async throws -> BoundedCount {
        try await read { session, _ in try session.count(filter, limit: limit) }
    }

    public func counts() async throws -> JobCounts {
        try await read { session, now in try session.counts(at: now) }
    }

    public func series(_ request: SeriesRequest) async throws -> [SeriesPoint] {
        try await read { session, _ in try session.series(request) }
    }

    public func workers() async throws -> [WorkerRecord] {
        try await read { session, _ in
            try session.allWorkers().filter { !$0.isDead }
                .map { worker in
                    let count = try session.command(.countRunning)
                    count.bind(1, worker.number)
                    return WorkerRecord(
                        registration: worker.registration,
                        startedAt: worker.startedAt,
                        lastSeen: worker.lastSeen,
                        running: try count.first { $0.int(0) } ?? 0
                    )
                }
                .sorted { ($0.startedAt, $0.registration.id) < ($1.startedAt, $1.registration.id) }
        }
    }

    public func pauses() async throws -> [Pause] {
        try await read { session, now in
            try session.pauses(at: now).sorted { ($0.since, $0.scope.words) < ($1.since, $1.scope.words) }
        }
    }

    public func audit(limit: Int) async throws -> [AuditEntry] {
        try await read { session, _ in
            let find = try session.command(.newestAudit)
            find.bind(1, max(limit, 0))
            return try find.all { row in
                AuditEntry(
                    at: Timestamp(microseconds: row.int64(0)),
                    actor: row.text(1),
                    action: row.text(2),
                    target: row.text(3),
                    reason: row.text(4),
                    changed: row.int(5)
                )
            }
        }
    }
}

extension SQLiteSession {
    /// The most rows a count looks at.
    private static let scanLimit = 100_000
    /// The most ready rows of a lane that are looked at for the oldest.
    private static let oldestScan = 1000

    func record(row number: Int64, parts: JobParts, at now: Timestamp) throws -> JobRecord? {
        guard var record = try job(row: number, withPayload: parts.contains(.payload))?.record else { return nil }
        if parts.contains(.result) {
            let find = try command(.resultByRow)
            find.bind(1, number)
            record.result =
                try find.first { $0.int64(0) > now.microseconds ? Self.readPayload($0, from: 1) : nil } ?? nil
        }
        if parts.contains(.attempts) {
            let find = try command(.attemptsByRow)
            find.bind(1, number)
            record.attempts = try find.all(readAttempt)
        }
        if parts.contains(.log) {
            let find = try command(.linesByRow)
            find.bind(1, number)
            record.log = try find.all { row in
                LogLine(at: Timestamp(microseconds: row.int64(0)), level: row.text(1), message: row.text(2))
            }
        }
        if parts.contains(.checkpoints) {
            let find = try command(.checkpointsByRow)
            find.bind(1, number)
            let checkpoints = try find.all { ($0.text(0), Self.readPayload($0, from: 1)) }
            record.checkpoints = Dictionary(checkpoints) { _, later in later }
        }
        return record
    }

    private static func readPayload(_ row: SQLiteCommand, from column: Int32) -> Payload {
        Payload(
            bytes: row.bytes(column + 2),
            format: row.optionalText(column + 1).map(Payload.Format.init) ?? .json,
            version: row.int(column)
        )
    }

    private func readAttempt(_ row: SQLiteCommand) throws -> Attempt {
        guard let ending = Attempt.Ending(rawValue: row.text(6)) else { throw StoreError.unreadable("attempt") }
        return Attempt(
            run: row.int(0),
            number: row.int(1),
            epoch: row.int64(2),
            worker: try worker(row.int64(3)),
            startedAt: Timestamp(microseconds: row.int64(4)),
            endedAt: Timestamp(microseconds: row.int64(5)),
            ending: ending,
            error: try row.optionalText(7).map { try StoredError(stored: Self.read($0, FlatJSON.list)) }
        )
    }

    func list(_ filter: JobFilter, page: JobPageRequest) throws -> JobPage {
        var walk = try SQLiteWalk(filter, after: page.after, scanLimit: page.scanLimit, in: self)
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
        var walk = try SQLiteWalk(filter, after: nil, scanLimit: Self.scanLimit, in: self)
        var value = 0
        while try walk.next(in: self) != nil {
            if value >= limit { return BoundedCount(value: value, isExact: false) }
            value += 1
        }
        return BoundedCount(value: value, isExact: !walk.isBounded)
    }

    func counts(at now: Timestamp) throws -> JobCounts {
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
    /// The index is by rank, which is that time less up to 45 minutes of priority: rows are looked at until no later
    /// one can be older, or ``oldestScan`` of them.
    func oldestReady(in lane: Int64) throws -> Timestamp? {
        let find = try command(.oldestReady)
        find.bind(1, lane)
        find.bind(2, Self.oldestScan)
        var oldest: Int64?
        defer { find.reset() }
        while try find.step() {
            if let oldest, find.int64(0) >= oldest { break }
            oldest = min(oldest ?? .max, find.int64(1))
        }
        return oldest.map(Timestamp.init(microseconds:))
    }

    func series(_ request: SeriesRequest) throws -> [SeriesPoint] {
        guard request.from < request.before else { return [] }
        let lanes = try allLanes()
        let find = try command(.counters)
        find.bind(1, request.from.minute)
        find.bind(2, Timestamp(microseconds: request.before.microseconds - 1).minute + 1)
        var points: [SeriesPoint] = []
        var minute: [SeriesKey: Int] = [:]
        var current: Int64?
        defer { find.reset() }
        // Versions of a name are separate lanes and one point.
        while try find.step() {
            if current != find.int64(0) {
                points += Self.points(of: minute, at: current)
                minute.removeAll(keepingCapacity: true)
                current = find.int64(0)
                if points.count >= SeriesRequest.largest { break }
            }
            guard let lane = lanes[find.int64(1)], let metric = SeriesMetric(rawValue: find.int(2)),
                (request.queue ?? lane.queue) == lane.queue, (request.name ?? lane.name) == lane.name,
                request.metrics.isEmpty || request.metrics.contains(metric)
            else { continue }
            minute[SeriesKey(queue: lane.queue, name: lane.name, metric: metric, bucket: find.int(3)), default: 0] +=
                find.amount(4)
        }
        points += Self.points(of: minute, at: current)
        return Array(points.prefix(SeriesRequest.largest))
    }

    private struct SeriesKey: Hashable {
        var queue: QueueName
        var name: JobName
        var metric: SeriesMetric
        var bucket: Int
    }

    private static func points(of minute: [SeriesKey: Int], at number: Int64?) -> [SeriesPoint] {
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
