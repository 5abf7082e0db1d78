// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Foundation
import GRDB

/// One stored value that is overwritten by SQL: of the kind its column demands, and otherwise anything.
struct RowDamage {
    /// What was done, for whoever has to look.
    let words: String

    private struct Column {
        let name: String
        let type: String
    }

    /// Overwrites a random column of one row: of the job's in a table of jobs, of any in another.
    /// - Returns: `nil` when there is no such row or the schema forbids the value.
    static func strike(
        _ table: String,
        ofJob id: Data,
        in db: Database,
        using generator: inout SeededGenerator
    ) throws -> RowDamage? {
        let columns = try Row.fetchAll(db, sql: "SELECT name, type FROM pragma_table_info(?)", arguments: [table])
            .map { Column(name: $0[0], type: $0[1]) }
        let column = generator.pick(columns)
        let key: String
        var arguments: StatementArguments = []
        if columns[0].name == "row" {
            guard let row = try Int64.fetchOne(db, sql: "SELECT row FROM errand_jobs WHERE id = ?", arguments: [id])
            else { return nil }
            (key, arguments) = ("row = ?", [row])
        } else {
            let values = try DatabaseValue.fetchAll(db, sql: "SELECT \(columns[0].name) FROM \(table) ORDER BY 1")
            guard !values.isEmpty else { return nil }
            (key, arguments) = ("\(columns[0].name) = ?", [generator.pick(values)])
        }
        let was = try DatabaseValue.fetchOne(
            db,
            sql: "SELECT \(column.name) FROM \(table) WHERE \(key)",
            arguments: arguments
        )
        guard let was else { return nil }
        let (sql, value) = new(column, was: was, using: &generator)
        do {
            try db.execute(
                sql: "UPDATE \(table) SET \(column.name) = \(sql) WHERE \(key)",
                arguments: StatementArguments([value]) + arguments
            )
        } catch let error as DatabaseError where [.SQLITE_CONSTRAINT, .SQLITE_MISMATCH].contains(error.resultCode) {
            return nil
        }
        let words = value.map { "\($0.databaseValue)" }.map { $0.prefix(100) } ?? "NULL"
        return RowDamage(words: "\(table).\(column.name) = \(words)")
    }

    private static func new(
        _ column: Column,
        was: DatabaseValue,
        using generator: inout SeededGenerator
    ) -> (sql: String, value: (any DatabaseValueConvertible)?) {
        if generator.once(in: 10) { return ("?", nil) }
        switch column.type {
        case "INTEGER": return ("?", integer(Int64.fromDatabaseValue(was) ?? 0, using: &generator))
        case "BLOB": return ("?", Data(bytes(Data.fromDatabaseValue(was) ?? Data(), using: &generator)))
        default:
            let text = String.fromDatabaseValue(was) ?? ""
            // Text that is not UTF-8 comes in as bytes.
            return ("CAST(? AS TEXT)", Data(bytes(Data(text.utf8), using: &generator)))
        }
    }

    private static func integer(_ was: Int64, using generator: inout SeededGenerator) -> Int64 {
        switch generator.below(5) {
        case 0: generator.pick([.min, .max, .min + 1, .max - 1, Int64(Int32.max), Int64(Int32.min)])
        case 1: Int64(generator.below(12)) - 1
        case 2: was &+ Int64(generator.below(5) - 2)
        case 3: was ^ (1 << Int64(generator.below(64)))
        default: Int64.random(in: .min ... .max, using: &generator)
        }
    }

    private static let texts = [
        "", "[]", "{}", "[", "{", "[\"\"]", "[\"a\",\"b\"]", "[\"a\",\"b\",\"9223372036854775807\"]",
        "[\"nan\",\"\",\"0\"]",
        "[\"inf\",\"\",\"x\"]", "{\"a\":\"b\"}", "{\"a\":}", "[\"\\u0000\"]", "[\"\\uzzzz\"]", "[\"\\", "\0", "[1,2]",
        "null",
        "exponential 1e308 1e308 -1", "poison", "crashed",
    ]

    private static func bytes(_ was: Data, using generator: inout SeededGenerator) -> [UInt8] {
        var bytes = Array(was)
        switch generator.below(5) {
        case 0: return Array(generator.pick(texts).utf8)
        case 1: return (0..<generator.below(40)).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        case 2: return (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        case 3:
            for _ in 0...generator.below(3) where !bytes.isEmpty {
                bytes[generator.below(bytes.count)] ^= 1 << UInt8(generator.below(8))
            }
            return bytes
        default:
            let start = generator.below(bytes.count + 1)
            bytes.removeSubrange(start..<min(start + generator.below(9), bytes.count))
            return bytes
        }
    }
}
