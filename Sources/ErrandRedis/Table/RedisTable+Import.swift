// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

extension RedisTable {
    /// Takes a batch of another store in, once.
    mutating func `import`(_ batch: ExportBatch) throws(Missing) -> Result<ImportAnswer, StoreError> {
        let id = ByteBuffer(bytes: batch.id.bytes)
        if try field("M", id) != nil { return .success(ImportAnswer(isRepeat: true)) }
        if try field("X", ByteBuffer(string: "id")) == id {
            let problem = "the batch is this store's own: jobs cannot be moved from a store to itself; name another "
            return .failure(StoreError(.invalid, problem + "destination"))
        }
        if let running = batch.jobs.first(where: { $0.record.state == .running }) {
            let problem =
                "job \(running.record.id) of the batch is running; a running job is not moved: wait for its end"
            return .failure(StoreError(.invalid, problem))
        }
        let time = RedisWriter.score(now.microseconds)
        extras.append(RedisWrite(ByteBuffer(string: "ZADD"), ByteBuffer(string: "M"), time, id))
        return .success(try take(in: batch))
    }

    /// Stores what is in a batch.
    mutating func take(in batch: ExportBatch) throws(Missing) -> ImportAnswer {
        var answer = ImportAnswer()
        for job in batch.jobs { try take(job, &answer) }
        for key in batch.keys where key.expiresAt > now {
            if try currentKey(key.key) == nil { keys[key.key] = RedisKeyEntry(key) }
        }
        // Stable: of lines of one instant the one written last stays the newest.
        for (_, line) in batch.audit.enumerated().sorted(by: { ($0.1.at, $0.0) < ($1.1.at, $1.0) }) {
            extras.append(RedisWrite(ByteBuffer(string: "Y"), line.bytes))
        }
        for point in batch.series where point.value > 0 { extras += RedisWrite.add(point) }
        for pause in batch.pauses {
            let field = ByteBuffer(string: Pause.field(of: pause.scope))
            extras.append(RedisWrite(ByteBuffer(string: "HSETNX"), ByteBuffer(string: "p"), field, pause.bytes))
            effects.controls = true
        }
        return answer
    }

    private mutating func take(_ job: ExportedJob, _ answer: inout ImportAnswer) throws(Missing) {
        let id = job.record.id
        guard try row(id) == nil, unreadable[id] == nil else {
            answer.present.append(id)
            return
        }
        var record = job.record
        // The parts are kept beside the record.
        (record.result, record.attempts, record.log, record.checkpoints) = (nil, [], [], [:])
        var row = Row(head: JobHead(flags: [], sequence: 0, stamp: 0), record: record, before: nil)
        row.attempts = Array(job.record.attempts.suffix(Attempt.kept))
        row.lines = Array(job.record.log.suffix(LogLine.kept))
        row.checkpoints = job.record.checkpoints
        if let result = job.record.result, let end = record.finishedAt, end + record.resultTTL > now {
            row.result = (result, end + record.resultTTL)
        }
        add(row)
        // It may have left this store before.
        extras.append(
            RedisWrite(ByteBuffer(string: "ZREM"), ByteBuffer(string: "D"), ByteBuffer(bytes: id.bytes))
        )
        if try !takeKey(record, as: job.key) { answer.keyless.append(id) }
    }

    /// Gives a job that came in the key that it had, or the place of the follow-up.
    /// - Returns: False when another job has what it had.
    private mutating func takeKey(_ record: JobRecord, as role: ExportedJob.KeyRole?) throws(Missing) -> Bool {
        guard let role, let rule = record.unique else { return true }
        let now = now
        // A key whose time was over before it came is no loss.
        let isOver = rule.scope.ttl.map { record.createdAt + $0 <= now } ?? false
        guard var entry = try currentKey(rule.key) else {
            if !isOver { giveKey(to: record) }
            if role == .followUp { try change(record.id) { $0.takeKey(at: now) } }
            return true
        }
        guard role == .followUp else { return isOver }
        if entry.followUp == nil, try row(entry.holder) != nil {
            entry.followUp = record.id
            keys[rule.key] = entry
            return true
        }
        try change(record.id) { $0.takeKey(at: now) }
        return isOver
    }
}

extension RedisWrite {
    /// The commands that add a counter of another store to the same one here.
    fileprivate static func add(_ point: SeriesPoint) -> [RedisWrite] {
        let minute = String(min(max(point.minute, 0), Int64.max / 60_000_000))
        // Sums of numbers of this size do not overflow.
        let value = String(min(point.value, 1 << 50))
        let field = "\(point.queue.rawValue)\0\(point.name.rawValue)\0\(point.metric.rawValue):\(point.bucket)"
        return [["ZADD", "m", minute, minute], ["HINCRBY", "m:" + minute, field, value]]
            .map { RedisWrite($0.map { ByteBuffer(string: $0) }) }
    }
}
