// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// A stored job with its parts and its places in the indexes.
///
/// Guarded by the mutex of the store.
final class MemoryRow {
    /// Which index holds the row now; it is in one at a time.
    enum Place {
        case nowhere
        case lane(MemoryLane)
        case due
        case running
        case finished(Int)
    }

    /// The job without its parts.
    var record: JobRecord
    /// The order in which the store took it; breaks ties of rank.
    let sequence: Int
    var queue: MemoryQueue
    var tally: MemoryTally
    var place: Place = .nowhere
    /// Who holds it while it runs, and where in that worker's list.
    var holder: MemoryWorker?
    var heldIndex = 0

    var holdsKey = false
    var isFollowUp = false
    var isTimed = false
    var endsHold = false

    /// Raised whenever the row leaves the index of that kind, which makes its old entry there stale.
    var placeStamp: UInt32 = 0
    var expiryStamp: UInt32 = 0
    var holdStamp: UInt32 = 0
    var resultStamp: UInt32 = 0

    var result: Payload?
    var resultUntil: Timestamp?
    var attempts: [Attempt] = []
    var log: [LogLine] = []
    var checkpoints: [String: Payload] = [:]

    init(_ record: JobRecord, sequence: Int, queue: MemoryQueue, tally: MemoryTally) {
        self.record = record
        self.sequence = sequence
        self.queue = queue
        self.tally = tally
    }

    /// The job with these parts.
    func record(with parts: JobParts, at now: Timestamp) -> JobRecord {
        var copy = record
        if !parts.contains(.payload) { copy.payload.bytes = [] }
        if parts.contains(.result), let resultUntil, resultUntil > now { copy.result = result }
        if parts.contains(.attempts) { copy.attempts = attempts }
        if parts.contains(.log) { copy.log = log }
        if parts.contains(.checkpoints) { copy.checkpoints = checkpoints }
        return copy
    }
}
