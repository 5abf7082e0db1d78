// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import GRDB

/// Brings a database to the schema of this build: numbered files, forward only, each applied once.
enum SQLiteMigrations {
    /// Each file under `Migrations`, in order; the position plus one is its number. (The constant of `001_x.sql` is
    /// `_01_x_sql`: a name cannot begin with a digit.)
    static let all: [String] = [
        String(decoding: PackageResources._01_foundation_sql, as: UTF8.self),
        String(decoding: PackageResources._02_moves_sql, as: UTF8.self),
        String(decoding: PackageResources._03_schedules_sql, as: UTF8.self),
    ]

    /// The schema this build writes.
    static var latest: Int { all.count }

    /// Applies what is missing.
    ///
    /// The caller holds the write lock (`BEGIN IMMEDIATE`), so two processes that start together apply each file
    /// once.
    ///
    /// The number is kept in a table of our own, not in `user_version`: that belongs to the application when the
    /// file is shared.
    /// - Throws: ``StoreError/Code/incompatible`` when the database is newer than this build.
    static func apply(to db: Database, upTo target: Int = latest) throws {
        try db.execute(
            sql: "CREATE TABLE IF NOT EXISTS errand_migrations (number INTEGER PRIMARY KEY) STRICT"
        )
        let current = try version(of: db)
        guard current <= latest else {
            throw StoreError(
                .incompatible,
                "the database has schema \(current) and this build knows \(latest); start a newer build of the application"
            )
        }
        guard current < target else { return }
        for number in (current + 1)...target {
            try db.execute(sql: all[number - 1])
            try db.execute(sql: "INSERT INTO errand_migrations (number) VALUES (?)", arguments: [number])
        }
    }

    static func version(of db: Database) throws -> Int {
        try Int.fetchOne(db, sql: "SELECT max(number) FROM errand_migrations") ?? 0
    }
}
