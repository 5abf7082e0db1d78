// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation
import GRDB
import Logging
import Testing

@testable import ErrandSQLite

extension PowerCut {
    /// Works on a disk until its power goes.
    func work(
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
            for _ in 0..<(plan.isCrowded ? 2 : 1) {
                stores.append(try await open(disk.folder + "/jobs.db", plan.checkpointPages))
            }
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

    private func open(_ path: String, _ checkpointPages: Int) async throws -> (SQLiteStore, DatabasePool?) {
        let configuration = configuration(checkpointPages)
        guard isShared else { return (try SQLiteStore(path: path, configuration: configuration), nil) }
        var settings = GRDB.Configuration()
        settings.busyMode = .timeout(5)
        let pool = try DatabasePool(path: path, configuration: settings)
        do {
            try await pool.writeWithoutTransaction { [durability] db in
                try db.execute(sql: "PRAGMA synchronous = \(durability == .powerLoss ? "FULL" : "NORMAL")")
                try db.execute(sql: "PRAGMA wal_autocheckpoint = \(checkpointPages)")
                try db.execute(sql: "CREATE TABLE IF NOT EXISTS orders (job TEXT NOT NULL PRIMARY KEY)")
            }
            return (try SQLiteStore(sharing: pool, configuration: configuration), pool)
        } catch {
            try? pool.close()
            throw error
        }
    }

    func configuration(_ checkpointPages: Int) -> SQLiteConfiguration {
        var configuration = SQLiteConfiguration(durability: durability)
        configuration.checkpointPages = checkpointPages
        // So that the file of the log is cut off, too.
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

    /// The queue of the jobs that are stored in the application's transactions.
    static let orders: QueueName = "orders"
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
