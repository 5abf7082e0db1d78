// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension MemoryStore {
    /// Reads jobs by id; see ``/ErrandCore/JobStore/jobs(_:parts:)``.
    public func jobs(_ ids: [JobID], parts: JobParts) async throws -> [JobRecord] {
        try act { table, now in
            ids.compactMap { table.rows[$0]?.record(with: parts, at: now) }
        }
    }

    /// Reads a page of jobs; see ``/ErrandCore/JobStore/list(_:page:)``.
    ///
    /// It has no index but the id, so a filter looks at rows.
    public func list(_ filter: JobFilter, page: JobPageRequest) async throws -> JobPage {
        try act { table, now in table.list(filter, page: page, at: now) }
    }

    /// Counts what a filter means; see ``/ErrandCore/JobStore/count(_:limit:)``.
    ///
    /// Exact when it names only states, queues and names.
    public func count(_ filter: JobFilter, limit: Int) async throws -> BoundedCount {
        try act { table, _ in table.count(filter, limit: limit) }
    }

    /// The kept counts; see ``/ErrandCore/JobStore/counts()``.
    public func counts() async throws -> JobCounts {
        try act { table, now in table.counts(at: now) }
    }

    /// The counters per minute; see ``/ErrandCore/JobStore/series(_:)``.
    public func series(_ request: SeriesRequest) async throws -> [SeriesPoint] {
        try act { table, _ in table.series(request) }
    }

    /// The known workers; see ``/ErrandCore/JobStore/workers()``.
    public func workers() async throws -> [WorkerRecord] {
        try act { table, _ in
            table.workers.values
                .map { worker in
                    WorkerRecord(
                        registration: worker.registration,
                        startedAt: worker.startedAt,
                        lastSeen: worker.lastSeen,
                        running: worker.held.count
                    )
                }
                .sorted { ($0.startedAt, $0.registration.id) < ($1.startedAt, $1.registration.id) }
        }
    }

    /// The pauses that hold now; see ``/ErrandCore/JobStore/pauses()``.
    public func pauses() async throws -> [Pause] {
        try act { table, now in
            table.pauses.values
                .filter { $0.until.map { $0 > now } ?? true }
                .sorted { ($0.since, $0.scope.words) < ($1.since, $1.scope.words) }
        }
    }

    /// The newest audit lines; see ``/ErrandCore/JobStore/audit(limit:)``.
    ///
    /// The newest 10,000 are kept.
    public func audit(limit: Int) async throws -> [AuditEntry] {
        try act { table, _ in Array(table.audit.suffix(max(limit, 0)).reversed()) }
    }
}

extension MemoryTable {
    /// The most rows a count looks at.
    private static let scanLimit = 100_000

    mutating func list(_ filter: JobFilter, page: JobPageRequest, at now: Timestamp) -> JobPage {
        var walk = MemoryWalk(filter, after: page.after, scanLimit: page.scanLimit)
        var jobs: [JobRecord] = []
        while jobs.count < page.limit, let row = walk.next(in: &self) {
            jobs.append(row.record(with: [], at: now))
        }
        guard jobs.count == page.limit else {
            return JobPage(jobs: jobs, next: walk.isBounded ? walk.last : nil, isBounded: walk.isBounded)
        }
        // One more look tells whether there is anything behind a full page.
        let hasMore = walk.next(in: &self) != nil || walk.isBounded
        return JobPage(jobs: jobs, next: hasMore ? jobs.last?.id : nil, isBounded: false)
    }

    mutating func count(_ filter: JobFilter, limit: Int) -> BoundedCount {
        var plain = filter
        (plain.states, plain.queues, plain.names) = ([], [], [])
        if plain == JobFilter() {
            var sum = 0
            for queue in queues.values where filter.queues.isEmpty || filter.queues.contains(queue.name) {
                for tally in queue.tallies.values where filter.names.isEmpty || filter.names.contains(tally.name) {
                    for state in JobState.allCases where filter.states.isEmpty || filter.states.contains(state) {
                        sum += tally.counts[state.rawValue]
                    }
                }
            }
            return BoundedCount(value: min(sum, max(limit, 0)), isExact: sum <= limit)
        }
        var walk = MemoryWalk(filter, after: nil, scanLimit: Self.scanLimit)
        var value = 0
        while walk.next(in: &self) != nil {
            if value >= limit { return BoundedCount(value: value, isExact: false) }
            value += 1
        }
        return BoundedCount(value: value, isExact: !walk.isBounded)
    }

    mutating func counts(at now: Timestamp) -> JobCounts {
        var counted: [JobCount] = []
        var oldest: [QueueName: Timestamp] = [:]
        for queue in queues.values.sorted(by: { $0.name < $1.name }) {
            for tally in queue.tallies.values.sorted(by: { $0.name < $1.name }) {
                for state in JobState.allCases where tally.counts[state.rawValue] > 0 {
                    let count = tally.counts[state.rawValue]
                    counted.append(JobCount(queue: queue.name, name: tally.name, state: state, count: count))
                }
            }
            // Within a lane rank and run time have the same order.
            oldest[queue.name] = queue.lanes.values.compactMap { $0.order.first()?.row.record.runAt }.min()
        }
        return JobCounts(rows: counted, oldestReady: oldest, at: now)
    }

    func series(_ request: SeriesRequest) -> [SeriesPoint] {
        guard request.from < request.before else { return [] }
        let last = Timestamp(microseconds: request.before.microseconds - 1).minute
        var points: [SeriesPoint] = []
        for queue in queues.values.sorted(by: { $0.name < $1.name }) where (request.queue ?? queue.name) == queue.name {
            for tally in queue.tallies.values.sorted(by: { $0.name < $1.name })
            where (request.name ?? tally.name) == tally.name {
                points += tally.points(from: request.from.minute, through: last, of: request.metrics)
            }
        }
        points.sort { ($0.minute, $0.queue, $0.name) < ($1.minute, $1.queue, $1.name) }
        return Array(points.prefix(SeriesRequest.largest))
    }
}
