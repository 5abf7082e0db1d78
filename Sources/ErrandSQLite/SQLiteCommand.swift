// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import GRDB
import GRDBSQLite

/// One prepared statement, bound and stepped by SQLite's own calls: no array of boxed arguments and no row object
/// per job.
///
/// Used only on the thread that has the connection.
struct SQLiteCommand {
    let statement: OpaquePointer
    let connection: OpaquePointer

    init(_ statement: Statement, on connection: OpaquePointer) {
        self.statement = statement.sqliteStatement
        self.connection = connection
    }

    /// Steps once; true when there is a row.
    func step() throws(DatabaseError) -> Bool {
        switch sqlite3_step(statement) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code:
            let extended = sqlite3_extended_errcode(connection)
            let message = String(cString: sqlite3_errmsg(connection))
            throw DatabaseError(resultCode: ResultCode(rawValue: extended == 0 ? code : extended), message: message)
        }
    }

    /// Runs a statement that gives no rows; the number of rows it changed.
    @discardableResult
    func run() throws(DatabaseError) -> Int {
        defer { sqlite3_reset(statement) }
        while try step() {}
        return Int(sqlite3_changes(connection))
    }

    /// Ends a walk over rows that was left before its end.
    func reset() { sqlite3_reset(statement) }

    /// The first row as `body` reads it; `nil` when there is none.
    func first<Value>(_ body: (SQLiteCommand) throws -> Value) throws -> Value? {
        defer { sqlite3_reset(statement) }
        return try step() ? try body(self) : nil
    }

    /// All rows as `body` reads them.
    func all<Value>(_ body: (SQLiteCommand) throws -> Value) throws -> [Value] {
        var values: [Value] = []
        try walk { values.append(try body($0)) }
        return values
    }

    /// Shows `body` each row.
    func walk(_ body: (SQLiteCommand) throws -> Void) throws {
        defer { sqlite3_reset(statement) }
        while try step() { try body(self) }
    }
}

/// SQLite copies what it is given before the call returns. (`SQLITE_TRANSIENT` is a cast that Swift cannot import.)
private let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

// Parameters are numbered from 1, as in SQLite. A bind can only fail for want of memory or a wrong number, and
// then the step that follows fails or a test does.
extension SQLiteCommand {
    func bind(_ index: Int32, _ value: Int64) { sqlite3_bind_int64(statement, index, value) }

    func bind(_ index: Int32, _ value: Int) { sqlite3_bind_int64(statement, index, Int64(value)) }

    func bind(_ index: Int32, _ value: Int64?) {
        if let value { bind(index, value) } else { sqlite3_bind_null(statement, index) }
    }

    /// Text goes with its length, so that a NUL inside it is kept.
    func bind(_ index: Int32, _ value: String) {
        var value = value
        value.withUTF8 { bytes in
            let start = UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self)
            if let start {
                sqlite3_bind_text(statement, index, start, Int32(bytes.count), transient)
            } else {
                sqlite3_bind_text(statement, index, "", 0, transient)
            }
        }
    }

    func bind(_ index: Int32, _ value: String?) {
        if let value { bind(index, value) } else { sqlite3_bind_null(statement, index) }
    }

    func bind(_ index: Int32, _ bytes: [UInt8]) {
        _ = bytes.withUnsafeBytes { buffer in
            if let start = buffer.baseAddress, !buffer.isEmpty {
                sqlite3_bind_blob(statement, index, start, Int32(buffer.count), transient)
            } else {
                sqlite3_bind_zeroblob(statement, index, 0)
            }
        }
    }

    func bind(_ index: Int32, high: UInt64, low: UInt64) {
        _ = withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { buffer in
            sqlite3_bind_blob(statement, index, buffer.baseAddress, 16, transient)
        }
    }
}

// Columns are numbered from 0, as in SQLite.
extension SQLiteCommand {
    func int64(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

    func int(_ column: Int32) -> Int { Int(sqlite3_column_int64(statement, column)) }

    /// A sum that code goes on adding to, whatever damage has left there: at most ``SQLiteCommand/most`` either way.
    func amount(_ column: Int32) -> Int { min(max(int(column), -Self.most), Self.most) }

    /// A number that only counts up.
    /// - Throws: `corrupt` for one that no counting comes to.
    func counter(_ column: Int32) throws(StoreError) -> Int {
        let value = int(column)
        guard (0...Self.most).contains(value) else { throw .unreadable("counter") }
        return value
    }

    /// More than anybody counts to, and far enough from the end of the numbers: 2⁵³.
    static let most = 1 << 53

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(statement, column) == SQLITE_NULL }

    func optionalInt64(_ column: Int32) -> Int64? { isNull(column) ? nil : int64(column) }

    func text(_ column: Int32) -> String {
        guard let start = sqlite3_column_text(statement, column) else { return "" }
        let count = Int(sqlite3_column_bytes(statement, column))
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    func optionalText(_ column: Int32) -> String? { isNull(column) ? nil : text(column) }

    func bytes(_ column: Int32) -> [UInt8] {
        guard let start = sqlite3_column_blob(statement, column) else { return [] }
        let count = Int(sqlite3_column_bytes(statement, column))
        return [UInt8](UnsafeRawBufferPointer(start: start, count: count))
    }

    /// The two halves of a 16-byte id; `nil` when the column holds something else.
    func halves(_ column: Int32) -> (high: UInt64, low: UInt64)? {
        guard let start = sqlite3_column_blob(statement, column), sqlite3_column_bytes(statement, column) == 16
        else { return nil }
        return (
            UInt64(bigEndian: start.loadUnaligned(as: UInt64.self)),
            UInt64(bigEndian: start.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        )
    }
}
