// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation
import GRDB
import GRDBSQLite

/// Opening a database: what is checked, what is set, and what was found.
enum SQLiteFile {
    /// What was found when the database was opened.
    struct Opened {
        var file: String
        var schema: Int
        var durability: StoreDescription.Durability
        var isOwn: Bool
    }

    /// The first SQLite without the bug that can damage a file when several processes restart its log.
    static let safeVersion: Int32 = 3_051_003

    /// Refuses a path that cannot work, with a sentence that says why; SQLite's own says only "unable to open".
    ///
    /// - Parameter kind: The word for the file system of a folder.
    static func check(
        _ path: String,
        _ configuration: SQLiteConfiguration,
        kind: (String) -> String? = FileSystemCheck.kind(ofFolder:)
    ) throws(StoreError) {
        if path.isEmpty || path.hasPrefix(":memory:") || path.hasPrefix("file:") {
            throw StoreError(
                .invalid,
                "'\(path)' is not the path of a file; use MemoryStore for jobs that need no disk"
            )
        }
        // SQLite follows a link to the database and puts its log beside the target.
        let folder = URL(fileURLWithPath: try target(of: path)).deletingLastPathComponent().path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
            throw StoreError(
                .notFound,
                "the folder '\(folder)' of the database does not exist; make it or give another path"
            )
        }
        guard FileManager.default.isWritableFile(atPath: folder) else {
            throw StoreError(
                .unavailable,
                "the folder '\(folder)' of the database cannot be written, and SQLite keeps its log there; "
                    + "give the process the right to"
            )
        }
        guard configuration.refusesNetworkFileSystems, let kind = kind(folder) else { return }
        try FileSystemCheck.refuseNetwork(kind, folder: folder)
    }

    /// Where a path leads if its last part is a link, and the links of that; the file itself need not be there.
    static func target(of path: String) throws(StoreError) -> String {
        var path = path
        // As many as Linux follows.
        for _ in 0..<40 {
            guard let next = try? FileManager.default.destinationOfSymbolicLink(atPath: path) else { return path }
            let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
            path = next.hasPrefix("/") ? next : folder + "/" + next
        }
        throw StoreError(.invalid, "the links from '\(path)' lead in a circle; give the path of a file")
    }

    /// Opens a pool of our own.
    ///
    /// Two processes that open a new file together fight over its first page; that ends soon.
    static func open(_ path: String, _ configuration: SQLiteConfiguration) throws -> DatabasePool {
        var settings = Configuration()
        settings.label = "errand"
        settings.maximumReaderCount = max(configuration.readers, 1)
        let limit = configuration.busyTimeout
        settings.busyMode = .callback { tries in pause(try: tries, limit: limit) }
        settings.prepareDatabase { db in
            // Shared maps of a file that several processes write are where bugs of the file system show.
            try db.execute(sql: "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8000")
        }
        var wait = BusyWait(limit: limit)
        while true {
            do {
                return try DatabasePool(path: path, configuration: settings)
            } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
                guard wait.pause() else { throw error }
            }
        }
    }

    /// SQLite's busy handler knows only how often it was called: the waits so far are the same sum again.
    private static func pause(try number: Int, limit: Duration) -> Bool {
        let mean: Int64 = 250
        guard Int64(number) * mean < limit.wholeMicroseconds else { return false }
        usleep(UInt32(BusyWait.wait(try: UInt64(number))))
        return true
    }

    /// Sets what the writing connection needs and migrates.
    static func prepare(
        _ pool: DatabasePool,
        isOwn: Bool,
        _ configuration: SQLiteConfiguration
    ) throws -> Opened {
        try pool.writeWithoutTransaction { db in
            if isOwn { try setUp(db, configuration) }
            var wait = BusyWait(limit: configuration.busyTimeout)
            while true {
                do {
                    try db.beginTransaction(.immediate)
                    break
                } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
                    guard wait.pause() else { throw error }
                }
            }
            do {
                try SQLiteMigrations.apply(to: db)
                try db.commit()
            } catch {
                try? db.rollback()
                throw error
            }
            guard let connection = db.sqliteConnection, let name = sqlite3_db_filename(connection, "main") else {
                throw StoreError.storeClosed
            }
            return Opened(
                file: String(cString: name),
                schema: try SQLiteMigrations.version(of: db),
                durability: try durability(of: db),
                isOwn: isOwn
            )
        }
    }

    private static func setUp(_ db: Database, _ configuration: SQLiteConfiguration) throws {
        // After opening, not in prepareDatabase: GRDB sets NORMAL after that.
        let isFull = configuration.durability == .powerLoss
        try db.execute(sql: "PRAGMA synchronous = \(isFull ? "FULL" : "NORMAL")")
        #if canImport(Darwin)
        // There a flush does not reach the platters otherwise.
        try db.execute(sql: "PRAGMA fullfsync = \(isFull ? 1 : 0); PRAGMA checkpoint_fullfsync = \(isFull ? 1 : 0)")
        #endif
        // The writer copies the log itself, when nobody waits.
        try db.execute(
            sql: "PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = \(max(configuration.logFileLimit, 0))"
        )
    }

    /// What the connection really has.
    private static func durability(of db: Database) throws -> StoreDescription.Durability {
        let synchronous = try Int.fetchOne(db, sql: "PRAGMA synchronous") ?? 0
        return synchronous >= 2 ? .powerLoss : .processCrash
    }

    /// The folder for the locks of workers, made if need be; `nil` when it cannot be.
    static func folderOfWorkers(beside file: String) -> String? {
        let folder = file + "-workers"
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return FileManager.default.isWritableFile(atPath: folder) ? folder : nil
    }

    static func describe(
        _ opened: Opened,
        wanted configuration: SQLiteConfiguration,
        hasLocks: Bool,
        hasSignals: Bool
    ) -> StoreDescription {
        var warnings: [String] = []
        if opened.durability < configuration.durability {
            warnings.append(
                "the application's pool has synchronous=NORMAL, so a power cut can lose the newest jobs; "
                    + "run PRAGMA synchronous = FULL on its writer after opening it"
            )
        }
        if !hasLocks {
            warnings.append(
                "the folder '\(opened.file)-workers' cannot be written, so a dead worker is noticed only by its silence"
            )
        }
        if configuration.wakeUp == .watch, !hasSignals {
            warnings.append("other processes cannot be watched; they are noticed when somebody polls")
        }
        return StoreDescription(
            engine: "sqlite",
            engineVersion: String(cString: sqlite3_libversion()),
            schemaVersion: opened.schema,
            durability: opened.durability,
            isShared: true,
            hasTransactions: true,
            warnings: warnings
        )
    }
}
