// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// A walk over the jobs that may leave, in bites, each of a limited number of rows.
///
/// Ready jobs come first, queue by queue in the order in which they would start, which the index of claims knows. Then
/// all rows by id: what is due later, held or final. What left is not met again, so the walk may begin anew anywhere
/// before it.
struct PostgresExportWalk {
    /// A job that may leave.
    struct Glance {
        var id: JobID
        /// The bytes of its payload.
        var bytes: Int
        fileprivate var place: Int64
        /// Where to go on when it was the last one that was looked at.
        var after: Cursor
    }

    /// Where a walk stands.
    enum Cursor {
        case ready(queue: QueueName, rank: Int64, place: Int64)
        case rows(after: JobID?)
    }

    /// The most rows a call looks at, but for its last bite.
    private static let scan = 5000
    /// The fewest rows that are looked at of each lane.
    private static let share = 50

    private let states: Set<Int>
    private var queues: [(name: QueueName, lanes: [Int64])] = []
    private var scanned = 0
    private var isOver = false
    private(set) var cursor: Cursor

    init(_ request: ExportRequest, in session: PostgresSession) throws {
        let isWanted: (JobState) -> Bool = request.part == .pending ? { $0.isPending } : { $0.isFinal }
        states = Set(JobState.allCases.filter(isWanted).map { Int($0.rawValue) })
        let start = request.part == .pending ? Cursor.ready(queue: "", rank: .min, place: .min) : .rows(after: nil)
        cursor = request.after.flatMap(Cursor.init) ?? start
        guard case .ready = cursor else { return }
        let found = try session.query(.readyLanes)
        var lanes: [QueueName: [Int64]] = [:]
        for row in 0..<found.count {
            guard let lane = try session.lane(found.int64(row, 0)) else { continue }
            lanes[lane.queue, default: []].append(lane.number)
        }
        queues = lanes.map { ($0.key, $0.value) }.sorted { $0.name < $1.name }
    }

    /// Whether enough was looked at for one call.
    var isBounded: Bool { scanned >= Self.scan && !isOver }

    /// The next bite; `nil` at the end.
    mutating func next(in session: PostgresSession) throws -> [Glance]? {
        if case .ready(let queue, let rank, let place) = cursor {
            if let next = queues.first(where: { $0.name >= queue }) {
                let start = next.name == queue ? (rank, place) : (.min, .min)
                return try ready(next.name, next.lanes, behind: start, in: session)
            }
            cursor = .rows(after: nil)
        }
        guard case .rows(let start) = cursor, !isOver else { return nil }
        return try rows(behind: start, in: session)
    }

    private mutating func ready(
        _ queue: QueueName,
        _ lanes: [Int64],
        behind start: (rank: Int64, place: Int64),
        in session: PostgresSession
    ) throws -> [Glance] {
        let share = max(Self.scan / lanes.count, Self.share)
        let values: [PostgresValue] = [.ints(lanes), .int(start.rank), .int(start.place), .int(Int64(share))]
        let found = try session.query(.readyAfter, values)
        scanned += found.count
        var counts: [Int64: Int] = [:]
        // A lane that gave its share has more behind: up to there the order of all lanes is known.
        var known = 0
        while known < found.count {
            counts[found.int64(known, 1), default: 0] += 1
            known += 1
            if counts[found.int64(known - 1, 1)] == share { break }
        }
        let glances = (0..<known)
            .compactMap { row -> Glance? in
                guard let id = found.id(row, 0) else { return nil }
                let place = found.int64(row, 3)
                return Glance(
                    id: id,
                    bytes: found.int(row, 4),
                    place: place,
                    after: .ready(queue: queue, rank: found.int64(row, 2), place: place)
                )
            }
        if known > 0, counts[found.int64(known - 1, 1)] == share, let last = glances.last {
            cursor = last.after
        } else {
            queues.removeAll { $0.name <= queue }
            cursor = queues.first.map { .ready(queue: $0.name, rank: .min, place: .min) } ?? .rows(after: nil)
        }
        return glances
    }

    private mutating func rows(behind start: JobID?, in session: PostgresSession) throws -> [Glance] {
        let found = try session.query(.glancesAfter, [.uuid(start), .int(Int64(Self.scan))])
        scanned += found.count
        isOver = found.count < Self.scan
        let glances = (0..<found.count)
            .compactMap { row -> Glance? in
                guard let id = found.id(row, 0), states.contains(found.int(row, 1)) else { return nil }
                return Glance(id: id, bytes: found.int(row, 3), place: found.int64(row, 2), after: .rows(after: start))
            }
        if found.count > 0, let last = found.id(found.count - 1, 0) { cursor = .rows(after: last) }
        return glances.sorted { $0.place < $1.place }
    }
}

extension PostgresExportWalk.Cursor: LosslessStringConvertible {
    init?(_ description: String) {
        let words = description.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
        if words.count == 4, words[0] == "ready", let rank = Int64(words[1]), let place = Int64(words[2]) {
            self = .ready(queue: QueueName(String(words[3])), rank: rank, place: place)
        } else if words.count == 2, words[0] == "rows", let id = JobID(String(words[1])) {
            self = .rows(after: id)
        } else if description == "rows" {
            self = .rows(after: nil)
        } else {
            return nil
        }
    }

    var description: String {
        switch self {
        case .ready(let queue, let rank, let place): "ready \(rank) \(place) \(queue.rawValue)"
        case .rows(let id?): "rows \(id)"
        case .rows(nil): "rows"
        }
    }
}
