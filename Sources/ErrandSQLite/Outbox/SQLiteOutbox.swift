// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import Foundation
public import GRDB

/// Jobs on their way to a store, in SQLite: in a file of its own, the *spool*, or in a table of the application's
/// database, the *outbox*.
///
/// With a file of its own, `jobs.enqueue(_:durably: .spool)` returns when the job is on the local disk, whether or not
/// the store is there. With the application's database, a job exists exactly if the transaction does that added it,
/// also when the jobs live in Redis. An `OutboxRelay` carries them over.
public final class SQLiteOutbox: JobOutbox {
    public let hub = LocalHub()
    let clock: any ErrandClock
    let writer: any DatabaseWriter
    /// The most entries that wait.
    let bound: Int
    private let isOwn: Bool

    /// The most entries that wait, unless another bound is given: 100,000.
    public static let defaultLimit = 100_000

    /// Opens a file of its own, and makes it if it is not there. Every commit is flushed to the disk.
    ///
    /// Blocks for a moment on the disk; call it when the application starts.
    /// - Parameters:
    ///   - path: The file; its folder must exist and be on a local disk. Each process has a file of its own.
    ///   - limit: The most entries that wait; ``add(_:)`` refuses more with the code `full`.
    ///   - clock: Dates the entries.
    /// - Throws: ``/ErrandCore/StoreError``, as `SQLiteStore(path:)` does.
    public init(
        path: String,
        limit: Int = SQLiteOutbox.defaultLimit,
        clock: any ErrandClock = SystemClock.shared
    ) throws {
        try SQLiteFile.check(path, SQLiteConfiguration())
        do {
            var configuration = Configuration()
            configuration.journalMode = .wal
            configuration.busyMode = .timeout(5)
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            try queue.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
            (writer, isOwn) = (queue, true)
            (bound, self.clock) = (limit, clock)
            try migrate()
        } catch {
            throw StoreError(any: error)
        }
    }

    /// Keeps the entries in a table of the application's database, `errand_outbox`, and makes it if it is not there.
    ///
    /// The application opens and closes the database. ``add(_:)`` is a transaction of its own; to join one of the
    /// application's use ``joining(_:)``.
    /// - Throws: ``/ErrandCore/StoreError``.
    public init(
        sharing database: any DatabaseWriter,
        limit: Int = SQLiteOutbox.defaultLimit,
        clock: any ErrandClock = SystemClock.shared
    ) throws {
        (writer, isOwn) = (database, false)
        (bound, self.clock) = (limit, clock)
        do {
            try migrate()
        } catch {
            throw StoreError(any: error)
        }
    }

    private func migrate() throws {
        let sql = String(decoding: PackageResources.outbox_sql, as: UTF8.self)
        try writer.write { try $0.execute(sql: sql) }
    }

    /// Closes a file of its own; entries stay in it. Later calls throw.
    public func close() throws {
        guard isOwn else { return }
        do {
            try writer.close()
        } catch {
            throw StoreError(any: error)
        }
    }

    public func add(_ jobs: [NewJob]) async throws {
        guard !jobs.isEmpty else { return }
        try await write { [bound, clock] db in try OutboxTable.add(jobs, to: db, limit: bound, at: clock.now) }
        hub.publish(.work(Set(jobs.map(\.queue))))
    }

    public func oldest(limit: Int) async throws -> [OutboxEntry] {
        try await write { db in try OutboxTable.oldest(in: db, limit: limit) }
    }

    public func remove(_ entries: [OutboxEntry]) async throws {
        guard !entries.isEmpty else { return }
        try await write { db in try OutboxTable.remove(entries, from: db) }
    }

    public func refuse(_ entry: OutboxEntry, because reason: StoreError) async throws {
        try await write { [clock] db in try OutboxTable.refuse(entry, because: reason, in: db, at: clock.now) }
    }

    public func count() async throws -> (waiting: Int, refused: Int) {
        try await write { db in try OutboxTable.count(in: db) }
    }

    /// Runs one transaction on the database's own thread, to its end although the caller is cancelled.
    private func write<Answer: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Answer
    ) async throws -> Answer {
        try await withCheckedThrowingContinuation { continuation in
            writer.asyncWriteWithoutTransaction { db in
                do {
                    var answer: Answer?
                    try db.inTransaction(.immediate) {
                        answer = try body(db)
                        return .commit
                    }
                    guard let answer else { throw StoreError.storeClosed }
                    continuation.resume(returning: answer)
                } catch {
                    continuation.resume(throwing: StoreError(any: error))
                }
            }
        }
    }
}
