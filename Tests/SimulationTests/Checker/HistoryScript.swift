// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting

/// A history written by hand, call by call. Each call takes a second.
struct HistoryScript {
    private(set) var events: [HistoryEvent] = []
    private(set) var uptime: Duration = .zero
    private var calls = 0
    private var nextNumber = 0
    private var chance = SeededGenerator(seed: 1)
    /// The rows at the end, and what the series counted.
    var rows: [JobID: JobRecord] = [:]
    var series: [SeriesMetric: Int] = [:]
    var isQuiet = true
    /// What the kept counts have too many.
    var miscounted = 0

    var now: Timestamp { Timestamp(microseconds: 1_767_225_600_000_000) + uptime }

    var ending: HistoryEnding {
        var states: [JobState: Int] = [.succeeded: miscounted]
        for row in rows.values { states[row.state, default: 0] += 1 }
        let counts = states.map { JobCount(queue: "q", name: "n", state: $0.key, count: $0.value) }
        let points = series.map { metric, value in
            SeriesPoint(minute: 0, queue: "q", name: "n", metric: metric, bucket: 0, value: value)
        }
        return HistoryEnding(
            rows: rows.values.sorted { $0.id < $1.id },
            counts: JobCounts(rows: counts, oldestReady: [:], at: now),
            series: points,
            isQuiet: isQuiet
        )
    }

    mutating func record(_ what: HistoryEvent.What, in process: Int = 1) {
        events.append(HistoryEvent(at: now, uptime: uptime, process: process, what: what))
    }

    mutating func wait(_ time: Duration) { uptime += time }

    /// A call with the changes it makes and the answer it gives.
    mutating func call(_ request: StoreRequest, _ reply: StoreReply, _ changes: (JobRecord?, JobRecord?)...) {
        calls += 1
        record(.invoked(call: calls, request))
        uptime += .seconds(1)
        for (before, after) in changes {
            record(.changed(call: calls, before: before, after: after), in: 0)
            note(before, after)
        }
        record(.effect(call: calls, reply))
        record(.answered(call: calls))
    }

    private mutating func note(_ before: JobRecord?, _ after: JobRecord?) {
        guard let id = (after ?? before)?.id else { return }
        rows[id] = after
        if before == nil { series[.enqueued, default: 0] += 1 }
        guard let before, let after else { return }
        if before.state != .running, after.state == .running { series[.started, default: 0] += 1 }
        if after.crashes > before.crashes { series[.crashed, default: 0] += 1 }
        if after.state.isFinal, !before.state.isFinal, let metric = SeriesMetric.ended(as: after.state) {
            series[metric, default: 0] += 1
        }
    }

    // MARK: Calls that are right

    mutating func worker(slots: Int = 2) -> WorkerID {
        let said = registration(slots: slots)
        call(.register(said), .maintain(MaintenanceReport()))
        return said.id
    }

    mutating func registration(slots: Int = 2) -> WorkerRegistration {
        let id = WorkerID(at: now, using: &chance)
        return WorkerRegistration(id: id, host: "", pid: 1, version: "", names: ["n": 1], slots: ["q": slots])
    }

    mutating func new(_ change: (inout NewJob) -> Void = { _ in }) -> NewJob {
        nextNumber += 1
        var job = NewJob(
            id: JobPlan.id(nextNumber),
            name: "n",
            payload: Payload(bytes: [UInt8(nextNumber)], format: .json, version: 1),
            queue: "q",
            retry: .attempts(2, backoff: .none)
        )
        change(&job)
        return job
    }

    /// Stores a job and tells its caller.
    mutating func insert(_ job: NewJob) -> JobRecord {
        let row = JobRecord(job, at: now + .seconds(1))
        call(.insert([job], offer: nil), .insert([.stored(job.id)]), (nil, row))
        record(.acknowledged(requested: job.id, job: job.id))
        return row
    }

    /// Claims and starts a job.
    mutating func start(_ row: JobRecord, on worker: WorkerID) -> (row: JobRecord, lease: Lease) {
        let claimed = claim(row, on: worker)
        record(.started(claimed.lease, payload: claimed.row.payload.digest))
        return claimed
    }

    mutating func claim(
        _ row: JobRecord,
        on worker: WorkerID,
        _ change: (inout JobRecord) -> Void = { _ in }
    ) -> (row: JobRecord, lease: Lease) {
        var running = row
        _ = running.claim(by: worker, at: now + .seconds(1))
        change(&running)
        let lease = Lease(job: row.id, worker: worker, epoch: running.epoch)
        call(ask(worker), answer(running, lease), (row, running))
        return (running, lease)
    }

    func ask(_ worker: WorkerID) -> StoreRequest {
        .claim(ClaimRequest(worker: worker, names: ["n": 1], queues: [], limit: 1))
    }

    func answer(_ row: JobRecord, _ lease: Lease) -> StoreReply {
        .claim(ClaimAnswer(jobs: [ClaimedJob(lease: lease, record: row)], nextDue: nil, hasMore: false, at: now))
    }

    mutating func settle(
        _ row: JobRecord,
        _ lease: Lease,
        _ outcome: Outcome,
        _ change: (inout JobRecord) -> Void = { _ in }
    ) -> JobRecord {
        var ended = row
        _ = ended.settle(outcome, at: now + .seconds(1))
        change(&ended)
        let settlement = Settlement(lease: lease, outcome: outcome)
        call(.settle([settlement]), .settle([.applied(ended.state)]), (row, ended))
        return ended
    }

    mutating func rescue(_ row: JobRecord, _ change: (inout JobRecord) -> Void = { _ in }) -> JobRecord {
        var rescued = row
        _ = rescued.rescue(at: now + .seconds(1))
        change(&rescued)
        let report = MaintenanceReport(rescued: [row.id: rescued.state])
        call(.maintain(.rescue(silence: .seconds(30))), .maintain(report), (row, rescued))
        return rescued
    }

    mutating func beat(_ worker: WorkerID, _ held: [Lease], lost: [Lease] = []) {
        let beat = Beat(worker: worker, held: held, accountedThrough: now)
        call(.beat(beat), .beat(BeatAnswer(isKnown: true, lost: lost, at: now)))
    }

    mutating func operate(_ action: Operation.Action, _ row: JobRecord, _ after: JobRecord?) {
        let operation = Operation(action, on: .ids([row.id]), actor: "ada", reason: "")
        call(.operate(operation), .operate(OperationReport(changed: [row.id])), (row, after))
    }
}

extension Outcome {
    static let success = Outcome.succeeded(result: nil)
    static let failure = Outcome.retry(after: .zero, error: StoredError(type: "T", message: "m"), timedOut: false)
}
