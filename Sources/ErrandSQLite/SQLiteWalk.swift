// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// A walk over the jobs that a filter means, newest id first, that looks at a limited number of rows.
///
/// The conditions that the row itself answers are checked on a few of its columns; only a row that passes them is
/// read whole and asked by `JobFilter.matches`, the one definition. Rows are fetched in bites, so that an operation
/// may change the rows it walks over.
struct SQLiteWalk {
    private struct Glance {
        var id: JobID
        var row: Int64
        var lane: Int64
        var state: Int
        var createdAt: Int64
        var fingerprint: String?
        var isHeld: Bool
    }

    private static let bite = 500

    private let filter: JobFilter
    private let scanLimit: Int
    private let lanes: Set<Int64>?
    private var ids: [JobID]?
    private var glances: ArraySlice<Glance> = []
    private var hasMore = true
    private var scanned = 0
    /// The last row that was looked at, or where the walk began.
    private(set) var last: JobID?
    /// Whether the walk stopped at its limit although rows are left.
    private(set) var isBounded = false

    init(_ filter: JobFilter, after start: JobID?, scanLimit: Int, in session: SQLiteSession) throws {
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
    mutating func next(in session: SQLiteSession) throws -> SQLiteRow? {
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
            if passes(glance), let job = try session.jobOrNote(row: glance.row, withPayload: filter.text != nil),
                filter.matches(job.record)
            {
                return job
            }
        }
    }

    private mutating func nextOfIDs(in session: SQLiteSession) throws -> SQLiteRow? {
        while let id = ids?.popLast() {
            last = id
            guard let row = try session.row(of: id),
                let job = try session.jobOrNote(row: row, withPayload: filter.text != nil)
            else { continue }
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

    private mutating func look(in session: SQLiteSession) throws {
        let find: SQLiteCommand
        if let tag = filter.tags.min() {
            find = try session.command(.newestJobsOfTag)
            find.bind(3, tag)
        } else if filter.states == [.failed] {
            find = try session.command(.newestFailed)
        } else if filter.states == [.running] {
            find = try session.command(.runningJobs)
        } else {
            find = try session.command(.newestJobs)
        }
        if let last { find.bind(1, high: last.high, low: last.low) } else { find.bind(1, Self.beyond) }
        // One more than the limit, so that a walk that ends exactly there knows whether rows are left.
        let wanted = min(Self.bite, scanLimit - scanned + 1)
        find.bind(2, wanted)
        let found = try find.all { row -> Glance? in
            guard let id = row.halves(0) else {
                session.options.unreadable.note("row \(row.int64(1))", "its id")
                return nil
            }
            return Glance(
                id: JobID(high: id.high, low: id.low),
                row: row.int64(1),
                lane: row.int64(2),
                state: row.int(3),
                createdAt: row.int64(4),
                fingerprint: row.optionalText(5),
                isHeld: row.int(6) != 0
            )
        }
        glances = found.compactMap(\.self)[...]
        hasMore = found.count == wanted
    }

    /// Behind every id.
    private static let beyond = [UInt8](repeating: 0xFF, count: 17)
}
