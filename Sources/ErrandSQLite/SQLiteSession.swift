// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import GRDB
import GRDBSQLite
import Synchronization

/// What one connection needs while it works for the store: its statements, the small numbers that stand for lanes,
/// retry policies and workers, and what the transaction under way leaves to do.
///
/// Confined to the thread that has the connection; the calls of the five groups are extensions of it.
final class SQLiteSession {
    let db: Database
    let connection: OpaquePointer
    let options: Options
    var effects = SQLiteEffects()

    /// What a session needs to know of its store.
    struct Options: Sendable {
        var locks: WorkerLocks?
        let unreadable = UnreadableRows()
    }

    /// A lane as the row says it.
    struct Lane {
        var number: Int64
        var queue: QueueName
        var name: JobName
        var version: Int
    }

    private struct LaneKey: Hashable {
        var queue: QueueName
        var name: JobName
        var version: Int
    }

    /// What the settle of a first try that this session claimed needs to know.
    ///
    /// While the lease holds none of it can change, so the commonest settles are one statement that reads nothing.
    /// See `SQLiteStore+Succeed`.
    struct Held {
        var job: JobID
        var worker: Int64
        var lane: Int64
        var startedAt: Timestamp
        var resultTTL: Duration
    }

    /// Kept beside the commands, which only point to them: the connection drops its own cache when the
    /// application changes the schema.
    private var statements: [Statement] = []
    private var commands: [SQLiteCommand?]
    /// How long the write-ahead log was after the last commit.
    let logPages = Atomic<Int>(0)
    private var logHookIsSet = false
    private var lanes: [Int64: Lane] = [:]
    private var laneNumbers: [LaneKey: Int64] = [:]
    /// Jobs come in runs of the same kind, and comparing is cheaper than hashing.
    private var lastLane: Lane?
    private var highestLane: Int64 = 0
    private var policies: [Int64: RetryPolicy] = [:]
    private var policyNumbers: [RetryPolicy: Int64] = [:]
    private var lastPolicy: (policy: RetryPolicy, number: Int64)?
    private var workers: [Int64: WorkerID] = [:]
    private var workerNumbers: [WorkerID: Int64] = [:]
    private var lastWorker: (id: WorkerID, number: Int64)?
    var held: [Int64: Held] = [:]

    /// More than any worker runs; a leak of lost leases ends here.
    private static let mostHeld = 100_000
    /// Policies and workers are few; a caller that makes a new policy for each job must not fill the memory.
    private static let mostCached = 10_000

    init(_ db: Database, options: Options) throws(StoreError) {
        guard let connection = db.sqliteConnection else { throw .storeClosed }
        self.db = db
        self.connection = connection
        self.options = options
        commands = Array(repeating: nil, count: SQLiteQuery.allCases.count)
    }

    /// The prepared statement of a query, reset and ready to be bound.
    func command(_ query: SQLiteQuery) throws -> SQLiteCommand {
        if let command = commands[query.rawValue] { return command }
        let statement = try db.cachedStatement(sql: query.sql)
        statements.append(statement)
        let command = SQLiteCommand(statement, on: connection)
        commands[query.rawValue] = command
        return command
    }

    /// Forgets numbers and leases that a rolled-back transaction may have made up.
    func forget() {
        lanes.removeAll()
        laneNumbers.removeAll()
        (lastLane, highestLane) = (nil, 0)
        policies.removeAll()
        policyNumbers.removeAll()
        lastPolicy = nil
        workers.removeAll()
        workerNumbers.removeAll()
        lastWorker = nil
        held.removeAll()
    }

    /// Writes the changes of the counts.
    ///
    /// The last thing before a commit.
    func writeCounts() throws {
        for (key, change) in effects.tallies where change != 0 {
            let add = try command(.addTally)
            add.bind(1, key >> 4)
            add.bind(2, key & 15)
            add.bind(3, change)
            try add.run()
        }
        for (counter, value) in effects.counters {
            let add = try command(.addCounter)
            add.bind(1, counter.minute)
            add.bind(2, counter.lane)
            add.bind(3, counter.metric.rawValue)
            add.bind(4, counter.bucket)
            add.bind(5, value)
            try add.run()
        }
        effects.clearCounts()
    }

    /// Notes the length of the log after each commit, instead of the checkpoint within a commit that SQLite would
    /// make: a caller should not wait for that.
    func watchLog() {
        let hook: @convention(c) (UnsafeMutableRawPointer?, OpaquePointer?, UnsafePointer<CChar>?, Int32) -> Int32 = {
            session,
            _,
            _,
            pages in
            guard let session else { return SQLITE_OK }
            let writer = Unmanaged<SQLiteSession>.fromOpaque(session).takeUnretainedValue()
            writer.logPages.store(Int(pages), ordering: .relaxed)
            return SQLITE_OK
        }
        logHookIsSet = true
        sqlite3_wal_hook(connection, hook, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Lets go of the connection, which can then be closed.
    func close() {
        if logHookIsSet { sqlite3_wal_hook(connection, nil, nil) }
        commands = Array(repeating: nil, count: commands.count)
        statements.removeAll()
    }

    func hold(_ row: Int64, _ facts: Held) {
        if held.count >= Self.mostHeld { held.removeAll() }
        held[row] = facts
    }
}

// MARK: Lanes

extension SQLiteSession {
    /// The lane of these three, made if it is new.
    func lane(queue: QueueName, name: JobName, version: Int) throws -> Int64 {
        if let lastLane, lastLane.version == version, lastLane.name == name, lastLane.queue == queue {
            return lastLane.number
        }
        let key = LaneKey(queue: queue, name: name, version: version)
        let number = try laneNumbers[key] ?? findLane(key) ?? addLane(key)
        lastLane = Lane(number: number, queue: queue, name: name, version: version)
        return number
    }

    func lane(_ number: Int64) throws -> Lane {
        if let lastLane, lastLane.number == number { return lastLane }
        let lane = try lanes[number] ?? findLane(number)
        lastLane = lane
        return lane
    }

    /// All lanes, those that other processes added included.
    func allLanes() throws -> [Int64: Lane] {
        let find = try command(.lanesAfter)
        find.bind(1, highestLane)
        for lane in try find.all(Self.readLane) {
            remember(lane)
            highestLane = max(highestLane, lane.number)
        }
        return lanes
    }

    private func findLane(_ number: Int64) throws -> Lane {
        let find = try command(.laneByNumber)
        find.bind(1, number)
        guard let lane = try find.first(Self.readLane) else {
            throw StoreError(.corrupt, "lane \(number) of a job is missing; restore a backup")
        }
        remember(lane)
        return lane
    }

    private func findLane(_ key: LaneKey) throws -> Int64? {
        let find = try command(.laneByKey)
        find.bind(1, key.queue.rawValue)
        find.bind(2, key.name.rawValue)
        find.bind(3, key.version)
        guard let number = try find.first({ $0.int64(0) }) else { return nil }
        remember(Lane(number: number, queue: key.queue, name: key.name, version: key.version))
        return number
    }

    private func addLane(_ key: LaneKey) throws -> Int64 {
        let add = try command(.addLane)
        add.bind(1, key.queue.rawValue)
        add.bind(2, key.name.rawValue)
        add.bind(3, key.version)
        try add.run()
        let number = db.lastInsertedRowID
        remember(Lane(number: number, queue: key.queue, name: key.name, version: key.version))
        return number
    }

    private func remember(_ lane: Lane) {
        lanes[lane.number] = lane
        laneNumbers[LaneKey(queue: lane.queue, name: lane.name, version: lane.version)] = lane.number
    }

    private static func readLane(_ row: SQLiteCommand) -> Lane {
        Lane(
            number: row.int64(0),
            queue: QueueName(row.text(1)),
            name: JobName(row.text(2)),
            version: row.int(3)
        )
    }
}

// MARK: Retry policies and workers

extension SQLiteSession {
    func number(of policy: RetryPolicy) throws -> Int64 {
        if let lastPolicy, lastPolicy.policy == policy { return lastPolicy.number }
        let number: Int64
        if let known = policyNumbers[policy] {
            number = known
        } else {
            number = try intern(policy.description, find: .policyByText, add: .addPolicy)
            if policyNumbers.count >= Self.mostCached { policyNumbers.removeAll() }
            policyNumbers[policy] = number
        }
        lastPolicy = (policy, number)
        return number
    }

    func policy(_ number: Int64) throws -> RetryPolicy {
        if let lastPolicy, lastPolicy.number == number { return lastPolicy.policy }
        let policy = try policies[number] ?? findPolicy(number)
        lastPolicy = (policy, number)
        return policy
    }

    private func findPolicy(_ number: Int64) throws -> RetryPolicy {
        let find = try command(.policyByNumber)
        find.bind(1, number)
        guard let text = try find.first({ $0.text(0) }), let policy = RetryPolicy(text) else {
            throw StoreError(.corrupt, "retry policy \(number) of a job is missing; restore a backup")
        }
        if policies.count >= Self.mostCached { policies.removeAll() }
        policies[number] = policy
        return policy
    }

    private func intern(_ text: String, find: SQLiteQuery, add: SQLiteQuery) throws -> Int64 {
        let find = try command(find)
        find.bind(1, text)
        if let number = try find.first({ $0.int64(0) }) { return number }
        let add = try command(add)
        add.bind(1, text)
        try add.run()
        return db.lastInsertedRowID
    }

    /// The number of a worker that was registered once; `nil` for a stranger.
    func number(of worker: WorkerID) throws -> Int64? {
        if let lastWorker, lastWorker.id == worker { return lastWorker.number }
        if let number = workerNumbers[worker] {
            lastWorker = (worker, number)
            return number
        }
        let find = try command(.workerByID)
        find.bind(1, worker.bytes)
        guard let number = try find.first({ $0.int64(0) }) else { return nil }
        remember(worker, number)
        return number
    }

    /// The number of a worker, given to it if it has none.
    func addNumber(of worker: WorkerID) throws -> Int64 {
        if let number = try number(of: worker) { return number }
        let add = try command(.addWorkerID)
        add.bind(1, worker.bytes)
        try add.run()
        let number = db.lastInsertedRowID
        remember(worker, number)
        return number
    }

    func worker(_ number: Int64) throws -> WorkerID {
        if let worker = workers[number] { return worker }
        let find = try command(.workerByNumber)
        find.bind(1, number)
        guard let worker = try find.first({ WorkerID(bytes: $0.bytes(0)) }) ?? nil else {
            throw StoreError(.corrupt, "worker \(number) of a job is missing; restore a backup")
        }
        remember(worker, number)
        return worker
    }

    private func remember(_ worker: WorkerID, _ number: Int64) {
        if workers.count >= Self.mostCached {
            workers.removeAll()
            workerNumbers.removeAll()
        }
        workers[number] = worker
        workerNumbers[worker] = number
    }
}
