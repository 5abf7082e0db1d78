// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

/// What a decision needs that has not been read yet: read it and decide again.
enum Missing: Error {
    case jobs(Set<JobID>)
    case key(String)
    case field(RedisField)
}

/// A place outside of jobs and keys that a decision looks at: a field of a hash, or a member of the sets `D` and `M`.
struct RedisField: Hashable {
    var key: String
    var field: ByteBuffer
}

/// A copy of a few rows and keys on which something is decided; what changed is then written in one act, if everything
/// that was looked at is still the same.
///
/// Pure: rows in, ``RedisTable/commands(prefix:)`` out. The rules between rows are those of every store.
struct RedisTable {
    struct Row {
        var head: JobHead
        var record: JobRecord
        /// As it was read; `nil` for a row that is new.
        var before: (head: ByteBuffer, record: JobRecord)?
        var attempts: [Attempt] = []
        var lines: [LogLine] = []
        var checkpoints: [String: Payload] = [:]
        var result: (Payload, until: Timestamp)?
        /// Parts to delete with this change.
        var dropsResult = false
        var dropsCheckpoints = false
    }

    struct Counter: Hashable {
        var kind: String
        var metric: SeriesMetric
        var bucket: Int
    }

    let now: Timestamp
    /// `nil` for an id that is not there; rows that were deleted stay in ``removed``.
    var rows: [JobID: Row?] = [:]
    var removed: [JobID: Row] = [:]
    /// `nil` for a key that nobody has.
    var keys: [String: RedisKeyEntry?] = [:]
    var keysBefore: [String: ByteBuffer?] = [:]
    var counters: [Counter: Int] = [:]
    /// New rows in the order in which they came.
    var added: [JobID] = []
    /// Where the numbers of new rows begin.
    var firstSequence: Int64 = 0
    var effects = RedisEffects()
    /// Further conditions and commands of the call.
    var conditions: [(hash: String, field: ByteBuffer, value: ByteBuffer)] = []
    var extras: [RedisWrite] = []
    /// What stands in further places; `nil` for nothing.
    var fields: [RedisField: ByteBuffer?] = [:]
    /// Jobs that left for another store lately.
    var departed: Set<JobID> = []
    /// Whether new rows are those that this store has let go and takes back: when its memory is full, too.
    var takesBack = false
    /// Rows that could not be read, and why.
    var unreadable: [JobID: String] = [:]

    init(now: Timestamp) { self.now = now }

    // MARK: Looking

    func row(_ id: JobID) throws(Missing) -> Row? {
        guard let row = rows[id] else { throw .jobs([id]) }
        return row
    }

    func entry(_ key: String) throws(Missing) -> RedisKeyEntry? {
        guard let entry = keys[key] else { throw .key(key) }
        return entry
    }

    func field(_ key: String, _ field: ByteBuffer) throws(Missing) -> ByteBuffer? {
        let place = RedisField(key: key, field: field)
        guard let value = fields[place] else { throw .field(place) }
        return value
    }

    // MARK: Changing

    /// Adds a row for a record that is new.
    mutating func add(_ record: JobRecord) {
        add(Row(head: JobHead(flags: [], sequence: 0, stamp: 0), record: record, before: nil))
        // Its id may have left since it was looked for.
        conditions.append(("D", ByteBuffer(bytes: record.id.bytes), ByteBuffer()))
        count(.enqueued, of: record)
    }

    /// Adds a row that is new, which counts as no enqueue.
    mutating func add(_ row: Row) {
        added.append(row.record.id)
        rows[row.record.id] = row
        touch(row.record)
    }

    /// The one road by which a row changes.
    @discardableResult
    mutating func change<Answer>(
        _ id: JobID,
        _ body: (inout JobRecord) -> Answer
    ) throws(Missing) -> Answer? {
        guard var row = try row(id) else { return nil }
        let before = row.record
        let answer = body(&row.record)
        guard row.record != before else { return answer }
        let after = row.record
        if after.state.isFinal && !before.state.isFinal {
            row.dropsCheckpoints = true
            row.checkpoints = [:]
            effects.finished.append(id)
            if let metric = SeriesMetric.ended(as: after.state) { count(metric, of: after) }
        }
        rows[id] = row
        touch(after)
        if after.unique != nil { try updateKey(of: id) }
        return answer
    }

    /// Deletes a row that nobody runs, with its parts.
    mutating func remove(_ id: JobID) throws(Missing) {
        guard let row = try row(id) else { return }
        rows[id] = .some(nil)
        if row.before != nil { removed[id] = row }
        if row.record.unique != nil { try forgetKey(of: row.record) }
    }

    mutating func count(_ metric: SeriesMetric, of record: JobRecord, bucket: Int = 0) {
        counters[Counter(kind: record.kind, metric: metric, bucket: bucket), default: 0] += 1
    }

    /// Notes that there may be work in the queue of this job.
    private mutating func touch(_ record: JobRecord) {
        guard record.state.isPending, record.state != .waiting, record.hold == nil else { return }
        effects.work.insert(record.queue)
    }
}

/// What the rest of the world is told after the commit.
struct RedisEffects {
    var work: Set<QueueName> = []
    var finished: [JobID] = []
    var cancelled: [JobID] = []
    var controls = false
}

/// One command of a commit: the word, the key without its prefix, and the rest.
struct RedisWrite {
    var words: [ByteBuffer]

    init(_ words: ByteBuffer...) { self.words = words }

    init(_ words: [ByteBuffer]) { self.words = words }
}
