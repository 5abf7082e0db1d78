// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

/// Turns changed rows into the commands of a commit, indexes and counts included.
struct RedisWriter {
    var writes: [RedisWrite] = []

    private mutating func add(_ word: String, _ key: String, _ words: ByteBuffer...) {
        writes.append(RedisWrite([ByteBuffer(string: word), ByteBuffer(string: key)] + words))
    }

    private mutating func add(_ word: String, _ key: ByteBuffer, _ words: ByteBuffer...) {
        writes.append(RedisWrite([ByteBuffer(string: word), key] + words))
    }

    /// Writes a row that is new or changed.
    mutating func write(_ changed: Row) {
        var row = changed
        let id = ByteBuffer(bytes: row.record.id.bytes)
        writeParts(of: &row, id)
        let record = row.record
        let was = row.before?.record
        if was.map({ !$0.hasSameArguments(as: record) }) ?? true { writeArguments(of: &row, id) }
        if JobExtras.exist(in: record) {
            row.head.flags.insert(.extras)
            if was.map({ JobExtras.bytes(of: $0) != JobExtras.bytes(of: record) }) ?? true {
                add("HSET", "x", id, JobExtras.bytes(of: record))
            }
        } else if row.head.flags.remove(.extras) != nil {
            add("HDEL", "x", id)
        }
        set(.held, record.hold != nil, &row)
        set(.timed, record.startBy != nil || record.deadline != nil, &row)
        set(.tags, !record.tags.isEmpty, &row)
        row.head.stamp &+= 1
        add("HSET", "j", id, row.head.bytes(of: record))
        if was == nil { add("ZADD", "i", ByteBuffer(string: "0"), id) }
        let (before, after) = (was.map(RedisPlace.all) ?? [], RedisPlace.all(of: record))
        for place in before.subtracting(after) { leave(place, id, row.head.sequence) }
        for place in after.subtracting(before) { enter(place, id, row.head.sequence) }
        if was?.state != record.state || was?.kind != record.kind {
            if let was { tally(was, -1) }
            tally(record, 1)
        }
    }

    /// Deletes a row with its parts.
    mutating func remove(_ row: Row) {
        let id = ByteBuffer(bytes: row.record.id.bytes)
        guard let record = row.before?.record else { return }
        for place in RedisPlace.all(of: record) { leave(place, id, row.head.sequence) }
        for hash in ["j", "a", "b", "x", "r"] { add("HDEL", hash, id) }
        add("ZREM", "i", id)
        add("ZREM", "z", id)
        if row.head.flags.contains(.attempts) { add("UNLINK", Self.part("A:", id)) }
        if row.head.flags.contains(.log) { add("UNLINK", Self.part("L:", id)) }
        if row.head.flags.contains(.checkpoints) { add("UNLINK", Self.part("C:", id)) }
        tally(record, -1)
    }

    /// Writes who has a key.
    mutating func write(_ key: String, _ entry: RedisKeyEntry?, had: ByteBuffer?) {
        let name = ByteBuffer(string: key)
        if let entry {
            add("HSET", "u", name, entry.bytes)
            if let end = entry.expiresAt {
                add("ZADD", "k", Self.score(end.microseconds), name)
            } else if had != nil {
                add("ZREM", "k", name)
            }
        } else {
            add("HDEL", "u", name)
            add("ZREM", "k", name)
        }
    }

    mutating func count(_ counter: RedisTable.Counter, times: Int) {
        add(
            "N",
            counter.kind,
            ByteBuffer(string: String(counter.metric.rawValue)),
            ByteBuffer(string: String(counter.bucket)),
            ByteBuffer(string: String(times))
        )
    }

    /// Tells other processes.
    mutating func say(_ effects: RedisEffects, origin: ByteBuffer) {
        for message in RedisMessage.all(of: effects, origin: origin) {
            writes.append(RedisWrite(ByteBuffer(string: "S"), message))
        }
    }

    // MARK: Parts

    typealias Row = RedisTable.Row

    private mutating func writeParts(of row: inout Row, _ id: ByteBuffer) {
        for attempt in row.attempts { add("RPUSH", Self.part("A:", id), attempt.bytes) }
        if !row.attempts.isEmpty {
            row.head.flags.insert(.attempts)
            trim("A:", id, to: Attempt.kept)
        }
        for line in row.lines { add("RPUSH", Self.part("L:", id), line.bytes) }
        if !row.lines.isEmpty {
            row.head.flags.insert(.log)
            trim("L:", id, to: LogLine.kept)
        }
        if row.dropsCheckpoints, row.head.flags.remove(.checkpoints) != nil { add("UNLINK", Self.part("C:", id)) }
        for (name, value) in row.checkpoints {
            row.head.flags.insert(.checkpoints)
            add("HSET", Self.part("C:", id), ByteBuffer(string: name), value.storedBytes)
        }
        if row.dropsResult {
            add("HDEL", "r", id)
            add("ZREM", "z", id)
        }
        if let (result, until) = row.result {
            var bytes = ByteBuffer()
            bytes.write(until)
            bytes.writeImmutableBuffer(result.storedBytes)
            add("HSET", "r", id, bytes)
            add("ZADD", "z", Self.score(until.microseconds), id)
        }
    }

    private mutating func trim(_ mark: String, _ id: ByteBuffer, to kept: Int) {
        add("LTRIM", Self.part(mark, id), ByteBuffer(string: String(-kept)), ByteBuffer(string: "-1"))
    }

    private mutating func writeArguments(of row: inout Row, _ id: ByteBuffer) {
        var arguments = ByteBuffer()
        JobArguments(row.record).write(to: &arguments)
        let payload = row.record.payload.bytes
        if payload.count > JobArguments.longestInline {
            row.head.flags.insert(.bodyApart)
            add("HSET", "b", id, ByteBuffer(bytes: payload))
        } else {
            if row.head.flags.remove(.bodyApart) != nil { add("HDEL", "b", id) }
            arguments.writeBytes(payload)
        }
        add("HSET", "a", id, arguments)
    }

    private func set(_ flag: JobHead.Flags, _ isSet: Bool, _ row: inout Row) {
        if isSet { row.head.flags.insert(flag) } else { row.head.flags.remove(flag) }
    }

    // MARK: Indexes

    private mutating func enter(_ place: RedisPlace, _ id: ByteBuffer, _ sequence: Int64) {
        switch place {
        case .lane(let kind, let version, let priority, let since):
            writes.append(
                RedisWrite(
                    ByteBuffer(string: "LANE"),
                    ByteBuffer(string: kind),
                    ByteBuffer(string: String(version)),
                    ByteBuffer(string: String(priority)),
                    Self.score(since),
                    Self.member(sequence, id)
                )
            )
        case .due(let queue, let at):
            add("SADD", "q", ByteBuffer(string: queue.rawValue))
            add("ZADD", "d:" + queue.rawValue, Self.score(at), Self.member(sequence, id))
        case .held(let worker):
            // Only a script starts a job.
            add("SADD", Self.part("h:", ByteBuffer(bytes: worker.bytes)), id)
        case .finished(let queue, let state, let at):
            add("SADD", "q", ByteBuffer(string: queue.rawValue))
            add("ZADD", Self.finished(queue, state), Self.score(at), id)
        case .failed: add("ZADD", "f", ByteBuffer(string: "0"), id)
        case .expiry(let at): add("ZADD", "e", Self.score(at), id)
        case .holdEnd(let at): add("ZADD", "o", Self.score(at), id)
        case .tag(let tag): add("ZADD", "t:" + tag, ByteBuffer(string: "0"), id)
        }
    }

    private mutating func leave(_ place: RedisPlace, _ id: ByteBuffer, _ sequence: Int64) {
        switch place {
        case .lane(let kind, let version, let priority, _):
            add("ZREM", "l:\(kind)\0\(version)\0\(priority)", Self.member(sequence, id))
        case .due(let queue, _): add("ZREM", "d:" + queue.rawValue, Self.member(sequence, id))
        case .held(let worker): add("SREM", Self.part("h:", ByteBuffer(bytes: worker.bytes)), id)
        case .finished(let queue, let state, _): add("ZREM", Self.finished(queue, state), id)
        case .failed: add("ZREM", "f", id)
        // One that is only moved is entered anew at its time, whichever command comes first.
        case .expiry: add("ZREM", "e", id)
        case .holdEnd: add("ZREM", "o", id)
        case .tag(let tag): add("ZREM", "t:" + tag, id)
        }
    }

    private mutating func tally(_ record: JobRecord, _ change: Int) {
        add("T", record.kind, ByteBuffer(string: String(record.state.rawValue)), ByteBuffer(string: String(change)))
    }

    static func finished(_ queue: QueueName, _ state: JobState) -> String {
        "n:\(queue.rawValue)\0\(state.rawValue)"
    }

    static func score(_ microseconds: Int64) -> ByteBuffer { ByteBuffer(string: String(microseconds)) }

    static func member(_ sequence: Int64, _ id: ByteBuffer) -> ByteBuffer {
        var member = ByteBuffer(integer: sequence)
        member.writeImmutableBuffer(id)
        return member
    }

    static func part(_ mark: String, _ id: ByteBuffer) -> ByteBuffer {
        var key = ByteBuffer(string: mark)
        key.writeImmutableBuffer(id)
        return key
    }
}

extension JobRecord {
    /// Whether what is kept in ``JobArguments``, the payload included, is the same.
    fileprivate func hasSameArguments(as other: JobRecord) -> Bool {
        payload.bytes == other.payload.bytes && payload.format == other.payload.format && retry == other.retry
            && tags == other.tags && headers == other.headers && trace == other.trace
            && crashesAllowed == other.crashesAllowed && timeout == other.timeout && unique == other.unique
    }
}
