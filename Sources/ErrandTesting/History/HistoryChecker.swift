// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Reads a history from its beginning to its end and says which promises it breaks. Knows nothing of how a store or a
/// worker does its work: only what was asked, what was answered, which rows changed and what handlers saw.
///
/// Costs O(n log n) for n events. The first few violations are kept; later ones mostly follow from them.
package struct HistoryChecker {
    /// What is known of one job.
    struct Track {
        var new: NewJob?
        /// The row as the journal has it.
        var record: JobRecord?
        var wasRemoved = false
        var topEpoch: Int64 = 0
        /// Epochs that were given to a worker, and those under which a handler began.
        var granted: Set<Int64> = []
        /// Those of rows of this id that were deleted.
        var formerlyGranted: Set<Int64> = []
        var started: Set<Int64> = []
        var payloads: Set<UInt64> = []
        /// The final states it has had.
        var ends: Set<JobState> = []
        var readySince: Duration = .zero
        /// A cancel of this run was acknowledged.
        var cancelledRun: Int?
        /// It was given its key, and the key did not go to the job that waited for it since.
        var hasKey = false
        /// Beats in a row that did not list the lease.
        var misses = 0
    }

    /// What is known of one worker.
    struct Colleague {
        let process: Int
        let slots: Int
        var lastSeen: Timestamp
        /// When it became known; `nil` before. The call that does it may arrive when the worker is no more.
        var since: Duration?
        var holds: Set<JobID> = []
        var crashedAt: Duration?
        /// It stopped, or the store declared it dead.
        var isGone = false

        var isLiving: Bool { since != nil && crashedAt == nil && !isGone }
    }

    /// A change within the effect of the call that is looked at.
    struct Change {
        let before: JobRecord?
        let after: JobRecord?
        let event: Int
    }

    /// How long a ready job may wait for an idle worker.
    let poll: Duration
    var jobs: [JobID: Track] = [:]
    var workers: [WorkerID: Colleague] = [:]
    var requests: [Int: StoreRequest] = [:]
    var changes: [Change] = []
    var keys: [String: Set<JobID>] = [:]
    var pauses: [Pause.Scope: Pause] = [:]
    var stopping: [Int: Duration] = [:]
    var tally: [SeriesMetric: Int] = [:]
    /// Keys of operations that were carried out.
    var operations: Set<String> = []
    var violations: [HistoryViolation] = []
    /// The latest time of day so far: the clock of a store may step back.
    var latest: Timestamp = .epoch
    /// When what was late at the healing has arrived; `nil` before.
    var calmAt: Duration?
    /// When all living workers were last busy, or something kept them from claiming.
    var busyAt: Duration = .zero
    var isEnding = false

    /// The longest a call is late.
    static let longestDelay: Duration = .seconds(60)
    /// How long the jobs of a dead worker may stay with it.
    static let rescueBound: Duration = .seconds(45)
    /// How long a worker lives before it has certainly looked for dead ones: until its first round of maintenance.
    static let firstRoundBound: Duration = .seconds(15)
    /// How long a worker may take to stop.
    static let stopBound: Duration = .seconds(27)

    /// - Parameter poll: How long a ready job may wait for an idle worker that nobody tells.
    package init(poll: Duration) {
        self.poll = poll
    }

    /// Everything that the history and what it left behind break, earliest first.
    package mutating func check(_ events: [HistoryEvent], ending: HistoryEnding) -> [HistoryViolation] {
        for (index, event) in events.enumerated() where violations.count < 10 {
            latest = max(latest, event.at)
            see(event, index)
        }
        if violations.isEmpty { finish(ending, at: events.last?.uptime ?? .zero, events.count) }
        return violations
    }

    mutating func blame(_ id: String, _ message: String, _ job: JobID?, _ event: Int) {
        violations.append(HistoryViolation(id: id, message: message, job: job, event: event))
    }

    private mutating func see(_ event: HistoryEvent, _ index: Int) {
        switch event.what {
        case .invoked(let call, let request):
            requests[call] = request
            if case .insert(let new, _) = request { for job in new { announce(job) } }
            if case .register(let worker) = request { announce(worker, event) }
        case .changed(let call, let before, let after):
            let change = Change(before: before, after: after, event: index)
            changes.append(change)
            see(change, of: requests[call], event)
        case .effect(let call, let reply):
            if let request = requests[call] { compare(request, reply, event, index) }
            changes = []
        case .answered, .fault: break
        case .failed: break
        case .acknowledged(let requested, let job): acknowledged(requested, job, index)
        case .awaited(let job, let state):
            if jobs[job]?.ends.contains(state) == true { return }
            blame("S22", "somebody was told that the job is \(state.word), which it never was", job, index)
        case .started(let lease, let payload): started(lease, payload, index)
        case .ended: break
        case .crashed(let ids):
            for id in ids { workers[id]?.crashedAt = event.uptime }
            noteBusy(at: event.uptime)
        case .healed: calmAt = event.uptime + Self.longestDelay
        case .stopping:
            isEnding = true
            stopping[event.process] = event.uptime
        case .stopped:
            for (id, worker) in workers where worker.process == event.process { workers[id]?.isGone = true }
            noteBusy(at: event.uptime)
            guard let since = stopping.removeValue(forKey: event.process) else { return }
            guard event.uptime - since > Self.stopBound else { return }
            blame("L6", "a worker took \(event.uptime - since) to stop", nil, index)
        }
    }

    private mutating func announce(_ new: NewJob) {
        jobs[new.id, default: Track()].new = new
        jobs[new.id]?.payloads.insert(new.payload.digest)
    }

    /// From here on the worker may end, although nobody knows it yet.
    private mutating func announce(_ new: WorkerRegistration, _ event: HistoryEvent) {
        guard workers[new.id] == nil else { return }
        let slots = new.slots.values.max() ?? 1
        workers[new.id] = Colleague(process: event.process, slots: slots, lastSeen: event.at)
    }

    private mutating func acknowledged(_ requested: JobID, _ job: JobID, _ index: Int) {
        guard let track = jobs[job], track.record != nil || track.wasRemoved else {
            blame("S1", "an enqueue was acknowledged and no row was ever stored", requested, index)
            return
        }
    }

    private mutating func started(_ lease: Lease, _ payload: UInt64, _ index: Int) {
        guard let track = jobs[lease.job], track.new != nil else {
            blame("S2", "a handler began a job that nobody enqueued", lease.job, index)
            return
        }
        if !track.granted.contains(lease.epoch), !track.formerlyGranted.contains(lease.epoch) {
            blame("S4", "a handler began under epoch \(lease.epoch), which no claim gave", lease.job, index)
        }
        if !track.payloads.contains(payload) {
            blame("S21", "a handler got a payload that nobody gave the job", lease.job, index)
        }
        if jobs[lease.job]?.started.insert(lease.epoch).inserted == false {
            blame("S8", "a handler began twice under epoch \(lease.epoch)", lease.job, index)
        }
    }
}
