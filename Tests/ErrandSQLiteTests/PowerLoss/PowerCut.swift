// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation
import GRDB
import Logging
import Testing

@testable import ErrandSQLite

/// One cut: a store works on a volatile disk until the power goes, and is then opened on what is left.
struct PowerCut {
    /// How a cut is made; the same for both durabilities.
    struct Plan: Sendable {
        var seed: UInt64
        var cut: VolatileDisk.Cut
        /// The database is made under the cut, too.
        var startsEmpty: Bool
        /// Two stores use the file at once, as two processes would.
        var isCrowded = false
    }

    /// What one or several cuts came to.
    struct Outcome: Sendable {
        var cuts = 0
        var acknowledged = 0
        /// Acknowledged jobs that are not there.
        var lost = 0
        /// Acknowledged claims and ends that are not there, of jobs that are.
        var undone = 0
        var torn = 0
        var inCheckpoint = 0
        var inCommit = 0
        var damaged = 0
        var miscounted = 0
        /// Jobs without the application's row that was committed with them, or the other way round.
        var parted = 0

        static func += (total: inout Outcome, one: Outcome) {
            total.cuts += one.cuts
            total.acknowledged += one.acknowledged
            total.lost += one.lost
            total.undone += one.undone
            total.torn += one.torn
            total.inCheckpoint += one.inCheckpoint
            total.inCommit += one.inCommit
            total.damaged += one.damaged
            total.miscounted += one.miscounted
            total.parted += one.parted
        }
    }

    /// A database that was made and closed in peace.
    let template: [String: Data]
    var durability: StoreDescription.Durability
    /// The jobs live in the application's own pool, and some are enqueued in its transactions.
    var isShared = false
    /// The disk says that it flushed and did not.
    var diskLies = false

    func run(_ plan: Plan) async throws -> Outcome {
        var outcome = Outcome(cuts: 1)
        let promises = Acknowledgements()
        let wreck = try await withTemporaryFolder { folder in
            try await work(in: folder, plan, promises).wreck
        }
        outcome.inCheckpoint = wreck.moment == .checkpoint ? 1 : 0
        outcome.inCommit = wreck.moment == .commit ? 1 : 0
        outcome.torn = wreck.isTorn ? 1 : 0
        try await withTemporaryFolder { folder in
            for (name, content) in wreck.files { try content.write(to: URL(filePath: "\(folder)/\(name)")) }
            // Nobody flushes the index of the log: anything may be in it.
            if plan.seed.isMultiple(of: 2), wreck.files["jobs.db-wal"] != nil {
                let junk = Data(repeating: UInt8(truncatingIfNeeded: plan.seed >> 8), count: 32 << 10)
                try junk.write(to: URL(filePath: "\(folder)/jobs.db-shm"))
            }
            try await inspect("\(folder)/jobs.db", promises.all, &outcome)
        }
        return outcome
    }

    /// How many calls the work makes that could be the last.
    func countCalls(_ plan: Plan) async throws -> (all: Int, checkpoints: Int) {
        try await withTemporaryFolder { try await work(in: $0, plan, Acknowledgements()).calls }
    }

    // MARK: Until the cut

    private func work(
        in folder: String,
        _ plan: Plan,
        _ promises: Acknowledgements
    ) async throws -> (wreck: VolatileDisk.Wreck, calls: (all: Int, checkpoints: Int)) {
        let chance = SeededGenerator(seed: plan.seed)
        let files = plan.startsEmpty ? [:] : template
        let disk = try VolatileDisk(folder: folder, files: files, cut: plan.cut, lies: diskLies, chance: chance)
        defer { disk.unmount() }
        // Between the two the store is closed, which copies and removes the log.
        for isLast in [false, true] where !disk.isCut { try await session(on: disk, plan, promises, isLast) }
        let wreck = disk.cut()
        return (wreck, disk.calls)
    }

    private func session(
        on disk: VolatileDisk,
        _ plan: Plan,
        _ promises: Acknowledgements,
        _ isLast: Bool
    ) async throws {
        var stores: [(store: SQLiteStore, pool: DatabasePool?)] = []
        do {
            for _ in 0..<(plan.isCrowded ? 2 : 1) { stores.append(try await open(disk.folder + "/jobs.db")) }
        } catch {
            guard disk.isCut else { throw error }
        }
        await withTaskGroup(of: Void.self) { workers in
            await withTaskGroup(of: Void.self) { callers in
                for (number, (store, pool)) in stores.enumerated() {
                    let recorded = AcknowledgingStore(store, on: disk, promises)
                    workers.addTask { try? await Self.worker(of: recorded).run() }
                    callers.addTask {
                        do {
                            try await Self.enqueue(into: recorded, seed: plan.seed &+ UInt64(number))
                            if let pool { try await Self.enqueue(into: store, in: pool, on: disk, promises) }
                        } catch {
                            if !disk.isCut { Issue.record(error, "with the power on") }
                        }
                    }
                }
            }
            // While the workers work.
            if isLast { _ = disk.cut() }
            workers.cancelAll()
        }
        for (store, pool) in stores {
            try? await store.close()
            try? pool?.close()
        }
    }

    private func open(_ path: String) async throws -> (SQLiteStore, DatabasePool?) {
        guard isShared else { return (try SQLiteStore(path: path, configuration: configuration), nil) }
        var settings = GRDB.Configuration()
        settings.busyMode = .timeout(5)
        let pool = try DatabasePool(path: path, configuration: settings)
        do {
            try await pool.writeWithoutTransaction { [durability] db in
                try db.execute(sql: "PRAGMA synchronous = \(durability == .powerLoss ? "FULL" : "NORMAL")")
                try db.execute(sql: "PRAGMA wal_autocheckpoint = 24")
                try db.execute(sql: "CREATE TABLE IF NOT EXISTS orders (job TEXT NOT NULL PRIMARY KEY)")
            }
            return (try SQLiteStore(sharing: pool, configuration: configuration), pool)
        } catch {
            try? pool.close()
            throw error
        }
    }

    private var configuration: SQLiteConfiguration {
        var configuration = SQLiteConfiguration(durability: durability)
        // So that the log is copied, restarted and cut off again and again.
        configuration.checkpointPages = 24
        configuration.logFileLimit = 128 << 10
        configuration.wakeUp = .poll
        configuration.readers = 1
        return configuration
    }

    private static func worker(of store: some JobStore) -> Worker {
        var configuration = WorkerConfiguration()
        configuration.concurrency = 8
        configuration.threads = 1
        configuration.queues = [.default: .init(), Self.orders: .init()]
        (configuration.shutdown.cancelAfter, configuration.shutdown.giveBackAfter) = (.zero, .zero)
        configuration.shutdown.exitAfter = .zero
        var handlers = JobHandlers()
        handlers.add(Parcel.self) { parcel, _ in
            if parcel.number.isMultiple(of: 7) { throw JobControl.fail(reason: "no such address") }
            if parcel.number.isMultiple(of: 5) { throw JobControl.snooze(for: .hours(1)) }
        }
        let logger = Logger(label: "power loss") { _ in SwiftLogNoOpLogHandler() }
        return Worker(store: store, handlers: handlers, configuration: configuration, logger: logger)
    }

    /// One by one, by several at once, and many in one call, in an order that the seed gives.
    private static func enqueue(into store: some JobStore, seed: UInt64) async throws {
        var configuration = JobClientConfiguration()
        configuration.retryFor = .zero
        let client = JobClient(store: store, configuration: configuration)
        var chance = SeededGenerator(seed: seed)
        for way in [0, 1, 2].shuffled(using: &chance) {
            let parcels = (0..<24)
                .map { _ in
                    Parcel(number: .random(in: 0..<1000, using: &chance), size: .random(in: 0..<1500, using: &chance))
                }
            switch way {
            case 0: for parcel in parcels.prefix(12) { try await client.enqueue(parcel) }
            case 1: try await client.enqueue(contentsOf: parcels)
            default:
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for start in 0..<4 {
                        group.addTask {
                            for parcel in parcels[(start * 6)..<(start * 6 + 6)] { try await client.enqueue(parcel) }
                        }
                    }
                    try await group.waitForAll()
                }
            }
        }
    }

    /// Jobs that are stored in the application's transactions, each with a row of its own.
    private static func enqueue(
        into store: SQLiteStore,
        in pool: DatabasePool,
        on disk: VolatileDisk,
        _ promises: Acknowledgements
    ) async throws {
        let client = JobClient(store: store)
        for number in 0..<24 {
            let id = try await pool.write { db in
                let options = EnqueueOptions(queue: Self.orders)
                let id = try client.enqueue(Parcel(number: number, size: 300), options: options, in: db).id
                try db.execute(sql: "INSERT INTO orders (job) VALUES (?)", arguments: [id.description])
                return id
            }
            disk.whilePowered { promises.inserted([.stored(id)]) }
        }
    }

    private static let orders: QueueName = "orders"

    // MARK: After the cut

    private func inspect(
        _ path: String,
        _ promises: [JobID: Acknowledgements.Promise],
        _ outcome: inout Outcome
    ) async throws {
        guard Self.isWhole(path) else {
            outcome.damaged = 1
            return
        }
        // On a real disk, which need not flush.
        var configuration = configuration
        configuration.durability = .processCrash
        let store = try SQLiteStore(path: path, configuration: configuration)
        outcome.acknowledged = promises.count
        let records = try await store.jobs(Array(promises.keys), parts: [])
        outcome.lost = promises.count - records.count
        outcome.undone = records.count { promises[$0.id]?.isKept(by: $0) == false }
        outcome.miscounted = try await store.maintain(.recount).affected
        outcome.parted = try await isShared ? parted(in: store) : 0
        // What ran can run again.
        _ = try await store.maintain(.rescue(silence: .zero))
        #expect(try await store.count(JobFilter(states: [.running]), limit: 1).value == 0)
        // It takes new jobs.
        let new = try await JobClient(store: store).enqueue(Parcel(number: 1, size: 0))
        #expect(try await new.record().state == .ready)
        try await store.close()
    }

    /// By SQLite itself, before anything of ours looks at it.
    private static func isWhole(_ path: String) -> Bool {
        do {
            let plain = try DatabaseQueue(path: path)
            defer { try? plain.close() }
            return try plain.read { try String.fetchAll($0, sql: "PRAGMA integrity_check") } == ["ok"]
        } catch {
            return false
        }
    }

    private func parted(in store: SQLiteStore) async throws -> Int {
        let rows = try await store.pool.read { db in
            guard try db.tableExists("orders") else { return [String]() }
            return try String.fetchAll(db, sql: "SELECT job FROM orders")
        }
        let page = try await store.list(JobFilter(queues: [Self.orders]), page: JobPageRequest(limit: 1000))
        return Set(rows).symmetricDifference(page.jobs.map(\.id.description)).count
    }
}

/// A job of some size.
struct Parcel: Job {
    static let name: JobName = "parcel"
    var number: Int
    var content: String

    init(number: Int, size: Int) {
        self.number = number
        content = String(repeating: "x", count: size)
    }
}

/// Runs `body` with a new folder, its path as SQLite sees it, that is gone afterwards.
func withTemporaryFolder<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let folder = FileManager.default.temporaryDirectory.appending(path: "errand-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try await body(folder.resolvingSymlinksInPath().path)
}
