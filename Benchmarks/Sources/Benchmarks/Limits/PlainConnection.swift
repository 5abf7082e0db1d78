// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import GRDBSQLite

/// One SQLite connection and prepared statements, nothing else: what the engine can do.
///
/// Same file, same settings as the store's own writing connection.
final class PlainConnection {
    private let handle: OpaquePointer

    init(_ target: Target) throws {
        var handle: OpaquePointer?
        guard sqlite3_open_v2(target.address, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nil) == SQLITE_OK,
            let handle
        else { throw VoidFigure("the plain connection could not open \(target.address)") }
        self.handle = handle
        try run("PRAGMA busy_timeout = 5000")
        try run("PRAGMA synchronous = \(target.setup == .powerLoss ? "FULL" : "NORMAL")")
        try run("PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8000")
        try run("PRAGMA wal_autocheckpoint = 4000")
    }

    deinit {
        sqlite3_close_v2(handle)
    }

    func run(_ sql: String) throws {
        guard sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK else { throw failure(sql) }
    }

    func prepare(_ sql: String) throws -> PlainStatement {
        var statement: OpaquePointer?
        guard sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil) == SQLITE_OK,
            let statement
        else { throw failure(sql) }
        return PlainStatement(statement)
    }

    var lastRow: Int64 { sqlite3_last_insert_rowid(handle) }

    private func failure(_ sql: String) -> VoidFigure {
        VoidFigure("\(String(cString: sqlite3_errmsg(handle))) in \(sql)")
    }
}

/// A prepared statement.
final class PlainStatement {
    private let statement: OpaquePointer

    fileprivate init(_ statement: OpaquePointer) {
        self.statement = statement
    }

    deinit {
        sqlite3_finalize(statement)
    }

    func bind(_ place: Int32, _ value: Int64) { sqlite3_bind_int64(statement, place, value) }

    func bind(_ place: Int32, _ bytes: [UInt8]) {
        // Copied by SQLite: the pointer ends with the call.
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        _ = bytes.withUnsafeBytes {
            sqlite3_bind_blob(statement, place, $0.baseAddress, Int32($0.count), transient)
        }
    }

    /// Runs it to its end and makes it ready for the next time.
    func run() throws {
        guard sqlite3_step(statement) == SQLITE_DONE else {
            throw VoidFigure("a plain statement failed: \(String(cString: sqlite3_sql(statement)))")
        }
        sqlite3_reset(statement)
    }

    /// Runs it and reads a number and the bytes beside it from each row.
    func rows() -> [(row: Int64, bytes: [UInt8])] {
        var rows: [(row: Int64, bytes: [UInt8])] = []
        while sqlite3_step(statement) == SQLITE_ROW {
            let count = Int(sqlite3_column_bytes(statement, 1))
            let bytes = UnsafeRawBufferPointer(start: sqlite3_column_blob(statement, 1), count: count)
            rows.append((sqlite3_column_int64(statement, 0), Array(bytes)))
        }
        sqlite3_reset(statement)
        return rows
    }
}
