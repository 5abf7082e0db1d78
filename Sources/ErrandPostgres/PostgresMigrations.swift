// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// The files under `Migrations`, and the table that says which of them a schema has.
///
/// Each file only adds: what the releases before it use stays, so an older release runs on while a newer one migrates. A
/// file that takes something away will say which schema a release must know at least (`oldest`).
enum PostgresMigrations {
    // The constant of `001_x.sql` is `_01_x_sql`: a name cannot begin with a digit.
    private static let files: [[UInt8]] = [
        PackageResources._01_tables_sql, PackageResources._02_insert_sql, PackageResources._03_claim_sql,
        PackageResources._04_settle_sql, PackageResources._05_enqueue_sql, PackageResources._06_moves_sql,
        PackageResources._07_floors_sql,
        PackageResources._08_schedules_sql,
    ]

    /// The schema this build writes.
    static var latest: Int { files.count }

    /// The oldest server there is a promise for: 13.
    static let oldestServer = 130_000

    /// A name in PostgreSQL's quotes.
    static func quoted(_ name: String) -> String { "\"" + name.replacing("\"", with: "\"\"") + "\"" }

    /// A text in PostgreSQL's quotes.
    static func literal(_ text: String) -> String {
        let escaped = text.replacing("\\", with: "\\\\").replacing("'", with: "''")
        return " E'" + escaped + "'"
    }

    /// What is wrong with a schema's name; `nil` when PostgreSQL takes it.
    static func problem(with name: String) -> String? {
        if name.isEmpty || name.utf8.count > 63 {
            return "the schema name has \(name.utf8.count) bytes; give it 1 to 63"
        }
        if name.utf8.contains(0) { return "the schema name holds NUL; remove it" }
        if name.hasPrefix("pg_") { return "schema names that begin with pg_ belong to PostgreSQL; take another one" }
        return nil
    }

    /// Brings the schema up to date, or says why this build cannot use it.
    ///
    /// One process at a time, under an advisory lock that ends with the transaction, so it also works behind a pooler.
    static func prepare(_ link: PostgresLink, schema: String, migrates: Bool) throws -> Int {
        guard link.serverVersion >= oldestServer else {
            throw StoreError(
                .incompatible,
                "the server is PostgreSQL \(link.setting("server_version") ?? "?"); Errand needs 13 or newer"
            )
        }
        let found = try version(link, schema)
        if let found, found.number >= latest { return try accepted(found) }
        guard migrates else {
            throw StoreError(
                .incompatible,
                "schema \(quoted(schema)) is \(found.map { "number \($0.number)" } ?? "missing") and this build needs "
                    + "\(latest): run its migrations (PostgresConfiguration.migrates)"
            )
        }
        do {
            return try migrate(link, schema)
        } catch {
            _ = try? link.run("ROLLBACK")
            throw error
        }
    }

    private static func migrate(_ link: PostgresLink, _ schema: String) throws -> Int {
        try link.run("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 60000")
        try link.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 42))", [.text("errand \(schema)")])
        let found = try version(link, schema)
        if let found, found.number >= latest {
            try link.run("ROLLBACK")
            return try accepted(found)
        }
        let exists = try link.query("SELECT FROM pg_namespace WHERE nspname = $1", [.text(schema)]).count == 1
        if !exists { try link.run("CREATE SCHEMA \(quoted(schema))") }
        try link.run(
            """
            CREATE TABLE IF NOT EXISTS \(quoted(schema)).migrations \
            (number integer PRIMARY KEY, oldest integer NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())
            """
        )
        for number in ((found?.number ?? 0) + 1)...latest {
            try link.run(text(of: number, schema: schema))
            try link.run("INSERT INTO \(quoted(schema)).migrations (number, oldest) VALUES (\(number), 1)")
        }
        try link.run("COMMIT")
        return latest
    }

    private static func text(of number: Int, schema: String) -> String {
        placed(String(decoding: files[number - 1], as: UTF8.self), schema: schema)
    }

    /// A statement with the schema in place of `errand.`, quoted where it is a name and where it is in a text.
    static func placed(_ sql: String, schema: String) -> String {
        // In two steps, because the name may hold what is looked for.
        sql.replacing("'errand-schema'", with: "\u{1}")
            .replacing("'errand.", with: "\u{2}")
            .replacing("errand.", with: "\u{3}")
            .replacing("\u{1}", with: literal(schema))
            .replacing("\u{2}", with: "'" + quoted(schema).replacing("'", with: "''") + ".")
            .replacing("\u{3}", with: quoted(schema) + ".")
    }

    private static func version(_ link: PostgresLink, _ schema: String) throws -> (number: Int, oldest: Int)? {
        let exists = try link.query(
            """
            SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
            WHERE n.nspname = $1 AND c.relname = 'migrations'
            """,
            [.text(schema)]
        )
        guard exists.count == 1 else { return nil }
        let result = try link.query("SELECT max(number), max(oldest) FROM \(quoted(schema)).migrations")
        guard result.count == 1, !result.isNull(0, 0) else { return nil }
        return (result.int(0, 0), result.int(0, 1))
    }

    private static func accepted(_ found: (number: Int, oldest: Int)) throws(StoreError) -> Int {
        guard found.oldest <= latest else {
            throw StoreError(
                .incompatible,
                "the database has schema \(found.number), which builds that know less than \(found.oldest) must not use, and "
                    + "this build knows \(latest); start a newer build of the application"
            )
        }
        return found.number
    }
}
