// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// What all connections of a store share.
struct PostgresShared: Sendable {
    /// The text of each ``PostgresQuery``.
    let statements: [String]
    let lanes = PostgresLanes()
    let floors = PostgresFloors()
    let searches = PostgresSearches()
    let unreadable = UnreadableRows()

    init(schema: String) {
        statements = PostgresQuery.statements(schema: schema)
    }
}

/// One transaction of the store on a connection; confined to that connection's thread. The calls of the five groups are
/// extensions of it.
///
/// Locks are taken in one order, so that transactions wait for each other but never in a circle: unique keys by their text,
/// then jobs by id. Claims do not wait at all.
final class PostgresSession {
    let link: PostgresLink
    let shared: PostgresShared
    /// Store time of the transaction.
    let now: Timestamp
    var effects = PostgresEffects()
    /// How many rows were held because they could not be read.
    var setAsideCount = 0
    private(set) var newLanes: [PostgresLane] = []
    /// Whether the transaction is the application's own. It may already have made lanes that it rolls back, so nothing it
    /// sees is remembered.
    private let isJoined: Bool

    /// What a NULL in the column stands for, whatever the default of a later build is.
    static let defaultPolicyText = "20 exponential 3.0 2000000 21600000000 0.25"

    init(_ link: PostgresLink, _ shared: PostgresShared, at now: Timestamp, isJoined: Bool = false) {
        self.isJoined = isJoined
        self.link = link
        self.shared = shared
        self.now = now
    }

    @discardableResult
    func query(_ query: PostgresQuery, _ values: [PostgresValue] = []) throws(PostgresFailure) -> PostgresResult {
        try link.query(shared.statements[query.rawValue], values)
    }

    /// Appends the changes of the counts; the last thing before a commit.
    func writeCounts() throws(PostgresFailure) {
        let counts = effects.counts.filter { $0.value != 0 }
        effects.clearCounts()
        guard !counts.isEmpty else { return }
        let lines = Array(counts)
        try query(
            .addDeltas,
            [
                .ints(lines.map(\.value)), .ints(lines.map(\.key.minute)), .ints(lines.map(\.key.lane)),
                .ints(lines.map(\.key.kind)), .ints(lines.map(\.key.bucket)),
            ]
        )
    }

    // MARK: Lanes

    /// The lane of these three, made if it is new.
    ///
    /// A second transaction that meets the same three at the same time makes another lane of them: neither waits.
    func lane(of key: PostgresLanes.Key) throws(PostgresFailure) -> Int64 {
        if let number = shared.lanes.number(of: key) { return number }
        let values: [PostgresValue] = [.text(key.queue.rawValue), .text(key.name.rawValue), .int(Int64(key.version))]
        let found = try query(.findLane, values)
        let number = if let known = found.optionalInt64(0, 0) { known } else { try query(.addLane, values).int64(0, 0) }
        newLanes.append(PostgresLane(number: number, queue: key.queue, name: key.name, version: key.version))
        return number
    }

    func lane(_ number: Int64) throws(PostgresFailure) -> PostgresLane? {
        if let lane = shared.lanes.lane(number) { return lane }
        if let lane = newLanes.first(where: { $0.number == number }) { return lane }
        return try allLanes()[number]
    }

    /// All lanes, those that other processes added included.
    func allLanes() throws(PostgresFailure) -> [Int64: PostgresLane] {
        let result = try query(.allLanes)
        let lanes = (0..<result.count)
            .map { row in
                PostgresLane(
                    number: result.int64(row, 0),
                    queue: QueueName(result.text(row, 1)),
                    name: JobName(result.text(row, 2)),
                    version: result.int(row, 3)
                )
            }
        // Not those that this transaction made: it may be rolled back.
        let own = Set(newLanes.map(\.number))
        if !isJoined { shared.lanes.remember(lanes.filter { !own.contains($0.number) }) }
        return Dictionary(lanes.map { ($0.number, $0) }) { first, _ in first }
    }
}
