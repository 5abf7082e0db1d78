// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import CLibpq
import ErrandCore

/// The rows of an answer in binary form; confined to the thread of its connection.
final class PostgresResult {
    private let result: OpaquePointer
    let count: Int

    init(_ result: OpaquePointer) {
        self.result = result
        count = Int(PQntuples(result))
    }

    deinit { PQclear(result) }

    /// How many rows a statement without an answer touched.
    var affected: Int { PQcmdTuples(result).flatMap { Int(String(cString: $0)) } ?? 0 }

    func isNull(_ row: Int, _ column: Int) -> Bool { PQgetisnull(result, Int32(row), Int32(column)) == 1 }

    private func buffer(_ row: Int, _ column: Int) -> UnsafeRawBufferPointer {
        let start = PQgetvalue(result, Int32(row), Int32(column))
        return UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(result, Int32(row), Int32(column))))
    }

    /// Any of the integer types and booleans, whatever its width.
    func int64(_ row: Int, _ column: Int) -> Int64 {
        let buffer = buffer(row, column)
        return switch buffer.count {
        case 8: Int64(bigEndian: buffer.loadUnaligned(as: Int64.self))
        case 4: Int64(Int32(bigEndian: buffer.loadUnaligned(as: Int32.self)))
        case 2: Int64(Int16(bigEndian: buffer.loadUnaligned(as: Int16.self)))
        case 1: Int64(buffer[0])
        default: 0
        }
    }

    func optionalInt64(_ row: Int, _ column: Int) -> Int64? { isNull(row, column) ? nil : int64(row, column) }

    func int(_ row: Int, _ column: Int) -> Int { Int(int64(row, column)) }

    func bool(_ row: Int, _ column: Int) -> Bool { int64(row, column) != 0 }

    func text(_ row: Int, _ column: Int) -> String { String(decoding: buffer(row, column), as: UTF8.self) }

    func optionalText(_ row: Int, _ column: Int) -> String? { isNull(row, column) ? nil : text(row, column) }

    func bytes(_ row: Int, _ column: Int) -> [UInt8] { Array(buffer(row, column)) }

    func instant(_ row: Int, _ column: Int) -> Timestamp { Timestamp(microseconds: int64(row, column)) }

    func optionalInstant(_ row: Int, _ column: Int) -> Timestamp? {
        optionalInt64(row, column).map(Timestamp.init(microseconds:))
    }

    func id(_ row: Int, _ column: Int) -> JobID? {
        let buffer = buffer(row, column)
        guard buffer.count == 16 else { return nil }
        return JobID(
            high: UInt64(bigEndian: buffer.loadUnaligned(as: UInt64.self)),
            low: UInt64(bigEndian: buffer.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        )
    }

    /// The rows as text, for statements whose answer was asked for in that form.
    var texts: [[String?]] {
        let columns = Int(PQnfields(result))
        return (0..<count).map { row in (0..<columns).map { optionalText(row, $0) } }
    }
}
