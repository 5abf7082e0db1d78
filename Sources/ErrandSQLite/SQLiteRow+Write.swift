// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import GRDB

// The roads by which rows come, change and go. Counts, unique keys, tags and signals are kept in step here and
// nowhere else; the two statements that write the states of many rows at once (claim and first-try success) do the same inline.

extension SQLiteSession {
    /// Stores a new row as `record` says.
    /// - Returns: Where it is; `nil` when the id was there already.
    func add(_ job: NewJob, state: JobState, runAt: Timestamp, at now: Timestamp) throws -> Int64? {
        let lane = try lane(queue: job.queue, name: job.name, version: job.payload.version)
        let insert = try command(.insertJob)
        insert.bind(1, high: job.id.high, low: job.id.low)
        insert.bind(2, lane)
        insert.bind(3, state.rawValue)
        insert.bind(4, job.priority.rank(readyAt: runAt))
        insert.bind(5, runAt.microseconds)
        insert.bind(6, job.priority.level)
        insert.bind(7, Int64(0))
        insert.bind(8, Int64(0))
        insert.bind(9, nil as Int64?)
        insert.bind(10, now.microseconds)
        insert.bind(11, nil as Int64?)
        insert.bind(12, job.startWithin.map { (now + $0).microseconds })
        insert.bind(13, job.deadline.map { (now + $0).microseconds })
        insert.bind(14, job.unique?.scope.stored)
        insert.bind(15, state == .scheduled ? runAt.microseconds : nil)
        insert.bind(16, [job.startWithin, job.deadline].compactMap { $0.map { (now + $0).microseconds } }.min())
        guard try insert.run() == 1 else { return nil }
        let row = db.lastInsertedRowID
        try addDetails(of: job, row: row)
        if !job.tags.isEmpty { try tag(job.id, with: job.tags) }
        effects.tally(lane: lane, state, 1)
        effects.count(.enqueued, lane: lane, at: now)
        if state != .waiting { effects.touch(job.queue) }
        return row
    }

    /// Stores a row that was one of another store, with all that happened to it there.
    ///
    /// It was counted where it was enqueued.
    func add(moved record: JobRecord) throws -> SQLiteRow {
        let asked = NewJob(moved: record)
        let before = effects
        guard let row = try add(asked, state: record.state, runAt: record.runAt, at: record.createdAt) else {
            throw StoreError(.corrupt, "job \(record.id) is stored although nobody found it; run an integrity check")
        }
        effects = before
        let lane = try lane(queue: record.queue, name: record.name, version: record.payload.version)
        effects.tally(lane: lane, record.state, 1)
        if record.state.isPending, record.state != .waiting, record.hold == nil { effects.touch(record.queue) }
        // What the insert wrote, so that the rest counts as a change.
        var was = JobRecord(asked, at: record.createdAt)
        was.state = record.state
        let job = SQLiteRow(row: row, lane: lane, record: record)
        try write(job, was: was)
        return job
    }

    private func addDetails(of job: NewJob, row: Int64) throws {
        let insert = try command(.insertDetails)
        insert.bind(1, row)
        insert.bind(2, try number(of: job.retry))
        insert.bind(3, job.crashesAllowed)
        insert.bind(4, job.timeout?.wholeMicroseconds)
        insert.bind(5, job.resultTTL.wholeMicroseconds)
        insert.bind(6, job.unique?.key)
        insert.bind(7, job.unique?.scope.ttl?.wholeMicroseconds)
        insert.bind(8, job.unique?.conflict.stored)
        insert.bind(9, job.tags.isEmpty ? nil : FlatJSON.text(job.tags))
        insert.bind(10, job.headers.isEmpty ? nil : FlatJSON.text(job.headers))
        insert.bind(11, job.trace.isEmpty ? nil : FlatJSON.text(job.trace))
        insert.bind(12, job.payload.format.stored)
        insert.bind(13, job.payload.bytes)
        try insert.run()
    }

    /// Changes a row by a decision of ErrandCore and writes what it changed.
    @discardableResult
    func change<Answer>(
        _ job: inout SQLiteRow,
        at now: Timestamp,
        _ decide: (inout JobRecord) throws -> Answer
    ) throws -> Answer {
        let was = job.record
        let wasLane = job.lane
        let answer = try decide(&job.record)
        guard job.record != was else { return answer }
        let record = job.record
        guard record.state == was.state || was.state.canMove(to: record.state) else {
            throw StoreError(.corrupt, "a job cannot go from \(was.state.word) to \(record.state.word)")
        }
        if record.queue != was.queue || record.payload.version != was.payload.version {
            job.lane = try lane(queue: record.queue, name: record.name, version: record.payload.version)
        }
        try write(job, was: was)
        if record.state != was.state || job.lane != wasLane {
            effects.tally(lane: wasLane, was.state, -1)
            effects.tally(lane: job.lane, record.state, 1)
        }
        if record.state.isFinal && !was.state.isFinal {
            try run(.deleteCheckpoints, of: job.row)
            effects.finished.append(record.id)
            if let metric = SeriesMetric.ended(as: record.state) { effects.count(metric, lane: job.lane, at: now) }
        }
        if record.state.isPending, record.state != .waiting, record.hold == nil { effects.touch(record.queue) }
        if was.state == .running { held[job.row] = nil }
        if record.unique != nil { try updateKey(of: job.record, was: was.state, at: now) }
        return answer
    }

    private func write(_ job: SQLiteRow, was: JobRecord) throws {
        let record = job.record
        let update = try command(.updateJob)
        update.bind(1, job.row)
        update.bind(2, was.state.rawValue)
        update.bind(3, was.epoch)
        update.bind(4, job.lane)
        update.bind(5, record.state.rawValue)
        update.bind(6, record.rank)
        update.bind(7, record.runAt.microseconds)
        update.bind(8, record.priority.level)
        update.bind(9, record.epoch)
        update.bind(10, record.attempt)
        update.bind(11, record.failures)
        update.bind(12, record.crashes)
        update.bind(13, record.releases)
        update.bind(14, record.snoozes)
        update.bind(15, record.run)
        update.bind(16, record.revision)
        update.bind(17, try record.worker.map(addNumber))
        update.bind(18, record.startedAt?.microseconds)
        update.bind(19, record.finishedAt?.microseconds)
        update.bind(20, record.startBy?.microseconds)
        update.bind(21, record.deadline?.microseconds)
        update.bind(22, record.hold?.stored)
        update.bind(23, record.state.isPending ? record.hold?.until?.microseconds : nil)
        update.bind(24, record.cancelRequest?.stored)
        update.bind(25, record.reason?.rawValue)
        update.bind(26, record.fingerprint)
        update.bind(27, record.progress?.stored)
        update.bind(28, record.dueAt?.microseconds)
        update.bind(29, record.expiresAt?.microseconds)
        guard try update.run() == 1 else {
            throw StoreError(
                .corrupt,
                "the row of job \(record.id) changed under the write lock; run an integrity check"
            )
        }
        if record.retry != was.retry || record.tags != was.tags || record.headers != was.headers
            || record.error != was.error
        {
            try writeDetails(record, row: job.row, wereTags: was.tags)
        }
        if record.payload != was.payload {
            let update = try command(.updatePayload)
            update.bind(1, job.row)
            update.bind(2, record.payload.format.stored)
            update.bind(3, record.payload.bytes)
            try update.run()
        }
    }

    private func writeDetails(_ record: JobRecord, row: Int64, wereTags: [String]) throws {
        let update = try command(.updateDetails)
        update.bind(1, row)
        update.bind(2, try number(of: record.retry))
        update.bind(3, record.tags.isEmpty ? nil : FlatJSON.text(record.tags))
        update.bind(4, record.headers.isEmpty ? nil : FlatJSON.text(record.headers))
        update.bind(5, record.error?.stored)
        try update.run()
        if record.tags != wereTags {
            try untag(record.id, from: wereTags)
            try tag(record.id, with: record.tags)
        }
    }

    /// Deletes a row that nobody runs, with its parts.
    func remove(_ job: SQLiteRow, at now: Timestamp) throws {
        try run(.deleteJob, of: job.row)
        try run(.deleteDetails, of: job.row)
        try run(.deleteResult, of: job.row)
        try run(.deleteAttempts, of: job.row)
        try run(.deleteLog, of: job.row)
        try run(.deleteCheckpoints, of: job.row)
        try untag(job.record.id, from: job.record.tags)
        effects.tally(lane: job.lane, job.record.state, -1)
        if job.record.unique != nil { try forgetKey(of: job.record, at: now) }
    }

    func run(_ query: SQLiteQuery, of row: Int64) throws {
        let delete = try command(query)
        delete.bind(1, row)
        try delete.run()
    }

    private func tag(_ id: JobID, with tags: [String]) throws {
        for tag in tags {
            let put = try command(.putTag)
            put.bind(1, tag)
            put.bind(2, high: id.high, low: id.low)
            try put.run()
        }
    }

    private func untag(_ id: JobID, from tags: [String]) throws {
        for tag in tags {
            let delete = try command(.deleteTag)
            delete.bind(1, tag)
            delete.bind(2, high: id.high, low: id.low)
            try delete.run()
        }
    }
}

extension NewJob {
    /// What was asked for, as far as it is written once.
    fileprivate init(moved record: JobRecord) {
        self.init(
            id: record.id,
            name: record.name,
            payload: record.payload,
            queue: record.queue,
            priority: record.priority,
            timeout: record.timeout,
            retry: record.retry,
            crashesAllowed: record.crashesAllowed,
            unique: record.unique,
            tags: record.tags,
            headers: record.headers,
            trace: record.trace,
            resultTTL: record.resultTTL
        )
    }
}

extension JobRecord {
    /// When the row becomes due by itself.
    fileprivate var dueAt: Timestamp? {
        (state == .scheduled || state == .retrying) && hold == nil ? runAt : nil
    }

    /// When the row is late by itself; see ``JobRecord/isLate(at:)``.
    fileprivate var expiresAt: Timestamp? {
        guard state.isPending, hold == nil else { return nil }
        guard let startBy, startedAt == nil else { return deadline }
        return deadline.map { min($0, startBy) } ?? startBy
    }
}
