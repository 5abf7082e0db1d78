// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule
import ErrandCore

/// Everything a memory store holds: rows, the indexes over them, workers, keys, controls and the audit.
///
/// A row changes only in ``change(_:at:_:)``, which keeps indexes, counts and unique keys in step; what the rest
/// of the process must be told is gathered in ``effects`` and published after the lock is released.
struct MemoryTable {
    var rows: [JobID: MemoryRow] = [:]
    var index = MemoryIndex()
    var queues: [QueueName: MemoryQueue] = [:]
    var workers: [WorkerID: MemoryWorker] = [:]
    var keys: [String: MemoryKey] = [:]
    var keyEnds = MemoryKeyEnds()
    var pauses: [Pause.Scope: Pause] = [:]
    /// Pending jobs that expire unless they are started by then.
    var expiries = MemoryOrder(.expiry)
    /// Held jobs that are released by themselves.
    var holds = MemoryOrder(.hold)
    /// Results by the end of their time.
    var results = MemoryOrder(.result)
    var audit: Deque<AuditEntry> = []
    var reports: [String: MemoryReport] = [:]
    var reportOrder: Deque<String> = []
    var schedules = MemorySchedules()
    /// What moved out and in.
    var moves = MemoryMoves()
    var effects = MemoryEffects()
    var isClosed = false
    /// Told of every change as it happens, inside the lock: the row before and after, `nil` for one that is not there.
    var journal: (@Sendable (_ before: JobRecord?, _ after: JobRecord?, _ now: Timestamp) -> Void)?
    private var nextSequence = 0

    /// The most audit lines and remembered operations.
    static let keptLines = 10_000

    func queue(_ name: QueueName) -> MemoryQueue? { queues[name] }

    mutating func obtainQueue(_ name: QueueName) -> MemoryQueue {
        if let queue = queues[name] { return queue }
        let queue = MemoryQueue(name: name)
        queues[name] = queue
        return queue
    }

    /// Adds a row for a record that is new; one that was moved here was counted where it was enqueued.
    mutating func add(_ record: JobRecord, at now: Timestamp, countsAsEnqueued: Bool = true) -> MemoryRow {
        let queue = obtainQueue(record.queue)
        let row = MemoryRow(record, sequence: nextSequence, queue: queue, tally: queue.tally(for: record.name))
        nextSequence += 1
        rows[record.id] = row
        index.add(record.id)
        queue.rows += 1
        row.tally.counts[record.state.rawValue] += 1
        if countsAsEnqueued { row.tally.count(.enqueued, at: now) }
        place(row)
        journal?(nil, row.record, now)
        return row
    }

    /// The one road by which a row changes.
    @discardableResult
    mutating func change<Answer>(
        _ row: MemoryRow,
        at now: Timestamp,
        _ body: (inout JobRecord) -> Answer
    ) -> Answer {
        let before = row.record.state
        let earlier = journal.map { _ in row.record }
        unplace(row)
        let answer = body(&row.record)
        let after = row.record.state
        row.tally.counts[before.rawValue] -= 1
        if row.queue.name != row.record.queue {
            row.queue.rows -= 1
            row.queue = obtainQueue(row.record.queue)
            row.queue.rows += 1
            row.tally = row.queue.tally(for: row.record.name)
        }
        row.tally.counts[after.rawValue] += 1
        place(row)
        if after.isFinal && !before.isFinal {
            row.checkpoints = [:]
            effects.finished.append(row.record.id)
            if let metric = SeriesMetric.ended(as: after) { row.tally.count(metric, at: now) }
        }
        journal?(earlier, row.record, now)
        if row.record.unique != nil { updateKey(of: row, at: now) }
        return answer
    }

    /// Deletes a row that nobody runs, with its parts.
    mutating func remove(_ row: MemoryRow, at now: Timestamp) {
        unplace(row)
        dropResult(of: row)
        row.tally.counts[row.record.state.rawValue] -= 1
        row.queue.rows -= 1
        rows[row.record.id] = nil
        index.remove(row.record.id) { rows[$0] != nil }
        journal?(row.record, nil, now)
        if row.record.unique != nil { forgetKey(of: row, at: now) }
    }

    /// Lets rows, queues and workers go of each other, so that none of them outlives the store.
    func untie() {
        for row in rows.values { (row.place, row.holder) = (.nowhere, nil) }
        for queue in queues.values {
            queue.lanes = [:]
            queue.due = MemoryOrder(.place)
            queue.finished = []
        }
    }

    mutating func dropResult(of row: MemoryRow) {
        guard row.resultUntil != nil else { return }
        (row.result, row.resultUntil) = (nil, nil)
        results.remove(row)
    }

    private mutating func place(_ row: MemoryRow) {
        let state = row.record.state
        switch state {
        case .running:
            row.holder?.take(row)
            row.place = .running
            return
        case .succeeded, .failed, .cancelled, .expired, .skipped:
            let line = state.rawValue - JobState.succeeded.rawValue
            row.queue.finished[line].add(row, key: (row.record.finishedAt ?? row.record.createdAt).microseconds)
            row.place = .finished(line)
            return
        case .waiting, .scheduled, .retrying, .ready:
            row.place = .nowhere
        }
        if let hold = row.record.hold {
            if let until = hold.until {
                holds.add(row, key: until.microseconds)
                row.endsHold = true
            }
            return
        }
        if state == .ready {
            let lane = row.queue.lane(for: row.record)
            lane.order.add(row, key: row.record.rank)
            row.place = .lane(lane)
            effects.touch(row.queue.name)
        } else if state != .waiting {
            row.queue.due.add(row, key: row.record.runAt.microseconds)
            row.place = .due
            effects.touch(row.queue.name)
        }
        guard row.record.startBy != nil || row.record.deadline != nil else { return }
        let startBy = row.record.startedAt == nil ? row.record.startBy : nil
        if let end = [startBy, row.record.deadline].compactMap({ $0 }).min() {
            expiries.add(row, key: end.microseconds)
            row.isTimed = true
        }
    }

    private mutating func unplace(_ row: MemoryRow) {
        switch row.place {
        case .nowhere: break
        case .lane(let lane): lane.order.remove(row)
        case .due: row.queue.due.remove(row)
        case .running: row.holder?.drop(row)
        case .finished(let line): row.queue.finished[line].remove(row)
        }
        row.place = .nowhere
        if row.isTimed { expiries.remove(row) }
        if row.endsHold { holds.remove(row) }
        (row.isTimed, row.endsHold) = (false, false)
    }
}

/// What listeners are told when the lock is released.
struct MemoryEffects {
    var work: Set<QueueName> = []
    var finished: [JobID] = []
    var cancelled: [JobID] = []
    var controls = false
    private var last: QueueName?

    /// Work may be ready or due in this queue.
    mutating func touch(_ queue: QueueName) {
        guard queue != last else { return }
        last = queue
        work.insert(queue)
    }

    /// Forgets what was noted about work, keeping these queues.
    mutating func resetWork(to queues: Set<QueueName> = []) {
        work = queues
        last = nil
    }
}

/// The answer to an operation, kept for its repeats.
struct MemoryReport {
    var report: OperationReport
    var at: Timestamp
}
