// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation
import NIOCore

/// What leaves together or stays: a job, with the one that waits for its key; or a record that belongs to no job.
///
/// The batch that is on its way is kept as one value for each, so that a job that a worker starts between the look at it and
/// the script stays behind alone, and a move comes forward however much is going on.
struct RedisExportGroup {
    /// What of the batch it is.
    struct Contents: Codable {
        var jobs: [ExportedJob] = []
        var keys: [ExportedKey] = []
        var audit: [AuditEntry] = []
        var series: [SeriesPoint] = []
    }

    var contents = Contents()
    /// The contents as they are kept; see ``encode(longest:)``.
    var pieces: [ByteBuffer] = []
    var conditions: [(hash: String, field: ByteBuffer, value: ByteBuffer)] = []
    var writes: [RedisWrite] = []

    /// Writes the contents down: each piece behind a mark, which says whether more follow.
    /// - Parameter longest: The most bytes of a piece; an answer of the server with more than 64 MiB is not understood.
    /// - Returns: Whether it can be done. It cannot when a number in a row was damaged and is none any more.
    mutating func encode(longest: Int = 32 << 20) -> Bool {
        guard let bytes = try? JSONEncoder().encode(contents) else { return false }
        pieces = []
        var start = bytes.startIndex
        repeat {
            let end = min(start + longest, bytes.endIndex)
            var piece = ByteBuffer()
            piece.writeInteger(UInt8(ascii: end < bytes.endIndex ? "+" : "."))
            piece.writeBytes(bytes[start..<end])
            pieces.append(piece)
            start = end
        } while start < bytes.endIndex
        return true
    }
}

extension ExportBatch {
    mutating func add(_ contents: RedisExportGroup.Contents) {
        jobs += contents.jobs
        keys += contents.keys
        audit += contents.audit
        series += contents.series
    }

    /// Adds what pieces say, in their order.
    mutating func add(_ pieces: [ByteBuffer]) throws(StoreError) {
        var whole: [UInt8] = []
        for var piece in pieces {
            let mark = piece.readInteger(as: UInt8.self)
            whole += piece.readableBytesView
            if mark == UInt8(ascii: "+") { continue }
            do {
                add(try JSONDecoder().decode(RedisExportGroup.Contents.self, from: Data(whole)))
            } catch {
                throw StoreError(
                    .corrupt,
                    "the batch of jobs on its way to another store cannot be read; restore a backup",
                    cause: error
                )
            }
            whole = []
        }
    }
}
