// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// A walk over the jobs that a filter means, newest id first, that looks at a limited number of rows.
///
/// The conditions that the row itself answers are checked on a few of its columns; only rows that pass them are read whole
/// and asked by `JobFilter.matches`, the one definition. Rows are fetched in bites, so that an operation may change the
/// rows it walks over.
struct PostgresWalk {
    private struct Glance {
        var id: JobID
        var lane: Int64
        var state: Int
        var createdAt: Int64
        var fingerprint: String?
        var isHeld: Bool
    }

    private static let shortestBite = 500
    private static let longestBite = 5000

    private let filter: JobFilter
    private let scanLimit: Int
    private let lanes: Set<Int64>?
    private var ids: [JobID]?
    private var glances: ArraySlice<Glance> = []
    /// The rows of the glances that passed, read together.
    private var rows: [JobID: PostgresRow] = [:]
    private var bite = PostgresWalk.shortestBite
    private var hasMore = true
    private var scanned = 0
    /// The last row that was looked at, or where the walk began.
    private(set) var last: JobID?
    /// Whether the walk stopped at its limit although rows are left.
    private(set) var isBounded = false

    init(_ filter: JobFilter, after start: JobID?, scanLimit: Int, in session: PostgresSession) throws {
        self.filter = filter
        self.scanLimit = scanLimit
        last = start
        if filter.queues.isEmpty && filter.names.isEmpty {
            lanes = nil
        } else {
            let meant = try session.allLanes().values
                .filter { lane in
                    (filter.queues.isEmpty || filter.queues.contains(lane.queue))
                        && (filter.names.isEmpty || filter.names.contains(lane.name))
                }
            lanes = Set(meant.map(\.number))
        }
        if !filter.ids.isEmpty {
            ids = filter.ids.filter { id in start.map { id < $0 } ?? true }.sorted()
        }
        if lanes?.isEmpty == true { hasMore = false }
    }

    /// The next job that is meant; with its payload when the filter asks for text in it.
    mutating func next(in session: PostgresSession) throws -> PostgresRow? {
        if ids != nil { return try nextOfIDs(in: session) }
        while true {
            if glances.isEmpty {
                guard hasMore else { return nil }
                try look(in: session)
                continue
            }
            if scanned == scanLimit {
                isBounded = true
                return nil
            }
            guard let glance = glances.popFirst() else { return nil }
            last = glance.id
            scanned += 1
            if let job = rows[glance.id], filter.matches(job.record) { return job }
        }
    }

    private mutating func nextOfIDs(in session: PostgresSession) throws -> PostgresRow? {
        while let id = ids?.popLast() {
            last = id
            guard let job = try session.read([id], withPayload: filter.text != nil).first else { continue }
            if filter.matches(job.record) { return job }
        }
        return nil
    }

    private func passes(_ glance: Glance) -> Bool {
        (filter.states.isEmpty || filter.states.contains { $0.rawValue == glance.state })
            && (lanes?.contains(glance.lane) ?? true)
            && (filter.createdFrom.map { glance.createdAt >= $0.microseconds } ?? true)
            && (filter.createdBefore.map { glance.createdAt < $0.microseconds } ?? true)
            && (filter.fingerprint.map { glance.fingerprint == $0 } ?? true)
            && (filter.isHeld.map { glance.isHeld == $0 } ?? true)
    }

    private mutating func look(in session: PostgresSession) throws {
        // One more than the limit, so that a walk that ends exactly there knows whether rows are left.
        let wanted = min(bite, scanLimit - scanned + 1)
        bite = min(bite * 2, Self.longestBite)
        var values: [PostgresValue] = [.uuid(last), .int(Int64(wanted))]
        let query: PostgresQuery
        if let tag = filter.tags.min() {
            query = .glancesOfTag
            values.append(.text(tag.storable))
        } else if filter.states == [.failed] {
            query = .glancesFailed
        } else if filter.states == [.running] {
            query = .glancesRunning
        } else {
            query = .glances
        }
        let found = try session.query(query, values)
        glances =
            (0..<found.count)
            .compactMap { row in
                guard let id = found.id(row, 0) else { return nil }
                return Glance(
                    id: id,
                    lane: found.int64(row, 1),
                    state: found.int(row, 2),
                    createdAt: found.int64(row, 3),
                    fingerprint: found.optionalText(row, 4),
                    isHeld: found.bool(row, 5)
                )
            }[...]
        hasMore = found.count == wanted
        let passing = glances.prefix(scanLimit - scanned).filter(passes).map(\.id)
        rows = Dictionary(
            try session.read(passing, withPayload: filter.text != nil).map { ($0.record.id, $0) }
        ) { first, _ in first }
    }
}
