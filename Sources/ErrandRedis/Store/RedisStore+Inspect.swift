// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// Reads jobs by id; see ``/ErrandCore/JobStore/jobs(_:parts:)``.
    public func jobs(_ ids: [JobID], parts: JobParts) async throws -> [JobRecord] {
        try await perform { () throws(StoreError) in
            guard !ids.isEmpty else { return [] }
            var records: [JobRecord] = []
            for read in try await read(ids, parts: parts).jobs {
                if let job = try read.job?.get() { records.append(job.record) }
            }
            return records
        }
    }

    /// Reads a page of jobs; see ``/ErrandCore/JobStore/list(_:page:)``.
    ///
    /// Failed jobs and those of a tag have an index of their own; other filters look at rows.
    public func list(_ filter: JobFilter, page: JobPageRequest) async throws -> JobPage {
        try await perform { () throws(StoreError) in
            var walk = RedisWalk(filter, after: page.after, scanLimit: page.scanLimit, in: self)
            var jobs: [JobRecord] = []
            while jobs.count < page.limit, var job = try await walk.next() {
                job.payload.bytes = []
                jobs.append(job)
            }
            guard jobs.count == page.limit else {
                return JobPage(jobs: jobs, next: walk.isBounded ? walk.last : nil, isBounded: walk.isBounded)
            }
            // One more look tells whether there is anything behind a full page.
            let hasMore = try await walk.next() != nil || walk.isBounded
            return JobPage(jobs: jobs, next: hasMore ? jobs.last?.id : nil, isBounded: false)
        }
    }

    /// Counts what a filter means; see ``/ErrandCore/JobStore/count(_:limit:)``.
    ///
    /// Exact when it names only states, queues and names.
    public func count(_ filter: JobFilter, limit: Int) async throws -> BoundedCount {
        try await perform { () throws(StoreError) in
            var plain = filter
            (plain.states, plain.queues, plain.names) = ([], [], [])
            if plain == JobFilter() {
                let sum = try await tallies().rows
                    .reduce(0) { sum, row in
                        let isMeant =
                            (filter.states.isEmpty || filter.states.contains(row.state))
                            && (filter.queues.isEmpty || filter.queues.contains(row.queue))
                            && (filter.names.isEmpty || filter.names.contains(row.name))
                        return isMeant ? sum + row.count : sum
                    }
                return BoundedCount(value: min(sum, max(limit, 0)), isExact: sum <= limit)
            }
            var walk = RedisWalk(filter, after: nil, scanLimit: 100_000, in: self)
            var value = 0
            while try await walk.next() != nil {
                if value >= limit { return BoundedCount(value: value, isExact: false) }
                value += 1
            }
            return BoundedCount(value: value, isExact: !walk.isBounded)
        }
    }

    /// The kept counts; see ``/ErrandCore/JobStore/counts()``.
    public func counts() async throws -> JobCounts {
        try await perform { () throws(StoreError) in
            let (now, rows) = try await tallies()
            var oldest: [QueueName: Timestamp] = [:]
            for lane in try await lanes().lanes {
                oldest[lane.queue] = oldest[lane.queue].map { min($0, lane.since) } ?? lane.since
            }
            return JobCounts(rows: rows, oldestReady: oldest, at: now)
        }
    }

    /// The kept numbers of jobs.
    func tallies() async throws(StoreError) -> (now: Timestamp, rows: [JobCount]) {
        let found = try await fetch([["HGETALL", "c"].map { ByteBuffer(string: $0) }])
        let words = found.answers.first?.elements ?? []
        var rows: [JobCount] = []
        for index in stride(from: 0, to: words.count - 1, by: 2) {
            let parts = (words[index].text ?? "").split(separator: "\0", omittingEmptySubsequences: false)
            guard parts.count == 3, let state = Int(parts[2]).flatMap(JobState.init),
                let count = words[index + 1].integer
            else { throw StoreError.unreadable }
            let (queue, name) = (QueueName(String(parts[0])), JobName(String(parts[1])))
            if count > 0 { rows.append(JobCount(queue: queue, name: name, state: state, count: Int(count))) }
        }
        rows.sort { ($0.queue, $0.name, $0.state) < ($1.queue, $1.name, $1.state) }
        return (found.now, rows)
    }

    /// The ready jobs of one queue, name, version and priority.
    struct Lane {
        var queue: QueueName
        var name: JobName
        var version: Int
        var count: Int
        var since: Timestamp
    }

    /// All lanes that have jobs.
    func lanes() async throws(StoreError) -> (now: Timestamp, lanes: [Lane]) {
        let answer = try await run(RedisScripts.lanes, writes: false) { _ in }
        guard let first = answer.first, (answer.count - 1).isMultiple(of: 5) else { throw StoreError.oddAnswer }
        var lanes: [Lane] = []
        for index in stride(from: 1, to: answer.count, by: 5) {
            guard let queue = answer[index].text, let name = answer[index + 1].text,
                let version = answer[index + 2].integer, let count = answer[index + 3].integer
            else { throw StoreError.oddAnswer }
            lanes.append(
                Lane(
                    queue: QueueName(queue),
                    name: JobName(name),
                    version: Int(version),
                    count: Int(count),
                    since: Timestamp(microseconds: answer[index + 4].integer ?? .max)
                )
            )
        }
        return (try Self.instant(first), lanes)
    }

    /// The counters per minute; see ``/ErrandCore/JobStore/series(_:)``.
    public func series(_ request: SeriesRequest) async throws -> [SeriesPoint] {
        try await perform { () throws(StoreError) in
            guard request.from < request.before else { return [] }
            let last = Timestamp(microseconds: request.before.microseconds - 1).minute
            let range = ["ZRANGEBYSCORE", "m", String(request.from.minute), String(last)]
            let minutes = try await fetch([range.map { ByteBuffer(string: $0) }]).answers.first?.elements ?? []
            var points: [SeriesPoint] = []
            for some in minutes.compactMap(\.integer).bites(of: 30) where points.count < SeriesRequest.largest {
                let words = some.map { ["HGETALL", "m:\($0)"].map { ByteBuffer(string: $0) } }
                for (minute, counted) in zip(some, try await fetch(words).answers) {
                    points += try Self.points(counted.elements ?? [], minute: minute, for: request)
                }
            }
            return Array(points.prefix(SeriesRequest.largest))
        }
    }

    private static func points(
        _ words: [RESPValue],
        minute: Int64,
        for request: SeriesRequest
    ) throws(StoreError) -> [SeriesPoint] {
        var points: [SeriesPoint] = []
        for index in stride(from: 0, to: words.count - 1, by: 2) {
            guard let point = try Self.point(minute, words[index], words[index + 1]) else { continue }
            let isMeant =
                (request.queue ?? point.queue) == point.queue && (request.name ?? point.name) == point.name
                && (request.metrics.isEmpty || request.metrics.contains(point.metric))
            if isMeant { points.append(point) }
        }
        return points.sorted {
            ($0.queue, $0.name, $0.metric.rawValue, $0.bucket) < ($1.queue, $1.name, $1.metric.rawValue, $1.bucket)
        }
    }

    /// A counter as it is kept; `nil` when a newer build counts something that is not known here.
    static func point(_ minute: Int64, _ name: RESPValue, _ value: RESPValue) throws(StoreError) -> SeriesPoint? {
        let parts = (name.text ?? "").split(separator: "\0", omittingEmptySubsequences: false)
        guard parts.count == 3, let value = value.integer else { throw StoreError.unreadable }
        let numbers = parts[2].split(separator: ":").compactMap { Int($0) }
        guard numbers.count == 2, let metric = SeriesMetric(rawValue: numbers[0]) else { return nil }
        return SeriesPoint(
            minute: minute,
            queue: QueueName(String(parts[0])),
            name: JobName(String(parts[1])),
            metric: metric,
            bucket: numbers[1],
            value: Int(value)
        )
    }
}
