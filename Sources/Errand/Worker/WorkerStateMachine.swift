// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// Every decision of a worker about what to claim and what to start. Pure: the worker tells it what happened and
/// does what it answers.
///
/// A claimed job is in one of three places: buffered here (claimed ahead), running in a slot, or unsettled (ended,
/// its outcome on the way to the store). In all three the worker holds its lease, which its beats list: from the
/// answer that brought it until `settled`, with no moment between.
struct WorkerStateMachine {
    /// One served queue.
    struct Line {
        let name: QueueName
        let slots: Int
        let weight: Int
        var credit = 0
        var running = 0
        /// Slots promised to inserts of this process; see `LocalHub`.
        var reserved = 0
        var buffered: Deque<(order: Int, job: ClaimedJob)> = []
        /// Work may be there: a signal came, the last claim left some, or it did not ask for lack of room.
        var mayHaveWork = true
        /// The claim in flight asks for jobs of it.
        var isAsked = false
        /// How many jobs are claimed beyond the free slots.
        var readAhead = 0
        /// Ended since the last claim's answer.
        var ended = 0

        var free: Int { max(slots - running - reserved, 0) }
        /// How many more claimed jobs there is room for.
        var room: Int { free + readAhead - buffered.count }
    }

    private(set) var lines: [Line]
    /// For how long what is claimed ahead lasts at least.
    private static let leastReadAhead: Duration = .milliseconds(5)
    private let concurrency: Int
    private let readAheadLimit: Int
    private let order: ClaimRequest.Order
    private let poll: ClosedRange<Duration>

    private(set) var isDraining = false
    private(set) var isFenced = false
    private(set) var unsettled = 0
    /// Every lease this worker has; the one place that knows.
    private(set) var held: Set<Lease> = []
    /// Claims and offers whose answers have not come; while there are any, a lost lease cannot be told from one
    /// that is on its way.
    private var inFlight = 0
    private var isClaiming = false
    /// The claim loop sleeps without an end, until a slot is free.
    private var isParked = false
    private var lookAt: Duration = .zero
    private var pollInterval: Duration
    private var nextOrder = 0
    private var lastClaimAt: Timestamp?
    private var claimSentAt: Duration = .zero
    private var lastAnswerAt: Duration = .zero

    init(
        lines: [(name: QueueName, slots: Int, weight: Int)],
        concurrency: Int,
        readAheadLimit: Int,
        order: ClaimRequest.Order,
        poll: ClosedRange<Duration>
    ) {
        self.lines = lines.map { Line(name: $0.name, slots: min($0.slots, concurrency), weight: $0.weight) }
        self.concurrency = concurrency
        self.readAheadLimit = readAheadLimit
        self.order = order
        self.poll = poll
        pollInterval = poll.lowerBound
    }

    var running: Int { lines.reduce(0) { $0 + $1.running } }
    var buffered: Int { lines.reduce(0) { $0 + $1.buffered.count } }
    private var reserved: Int { lines.reduce(0) { $0 + $1.reserved } }
    /// Slots of the whole worker that nothing has a claim on.
    private var free: Int { max(concurrency - running - reserved, 0) }

    // MARK: Claiming

    /// What to ask the store for now; `nil` when there is nothing to ask for or no room for an answer.
    mutating func claimRequest(at uptime: Duration) -> (
        queues: [ClaimRequest.Queue], limit: Int, order: ClaimRequest.Order
    )? {
        guard hasRoom, mayHaveWork || uptime >= lookAt else { return nil }
        var queues: [ClaimRequest.Queue] = []
        for index in lines.indices {
            let line = lines[index]
            let slots = line.room
            lines[index].isAsked = slots > 0
            // What is not asked about may hold anything: it is asked as soon as it has room.
            lines[index].mayHaveWork = slots <= 0
            guard slots > 0 else { continue }
            queues.append(.init(name: line.name, slots: slots, weight: line.weight, credit: line.credit))
        }
        (isClaiming, inFlight) = (true, inFlight + 1)
        claimSentAt = uptime
        return (queues, room, order)
    }

    /// How many claimed jobs there is room for.
    private var room: Int { free + readAhead - buffered }

    private var readAhead: Int { lines.reduce(0) { $0 + $1.readAhead } }

    /// Whether a line with room may have work.
    private var mayHaveWork: Bool { lines.contains { $0.mayHaveWork && $0.room > 0 } }

    /// Whether a claim may be made, should there be work.
    private var hasRoom: Bool {
        guard !startsNothing, !isClaiming, room > 0 else { return false }
        // Little claims cost as much as large ones: with a read-ahead, wait until a quarter of it is gone.
        guard free > buffered || room * 4 >= readAhead else { return false }
        // A store that cannot keep up with the ends is not asked for more.
        guard unsettled <= 4 * (concurrency + readAheadLimit) else { return false }
        return lines.contains { $0.room > 0 }
    }

    /// The store answered; returns what starts now.
    mutating func claimAnswered(_ answer: ClaimAnswer, at uptime: Duration) -> [ClaimedJob] {
        (isClaiming, inFlight) = (false, inFlight - 1)
        lastClaimAt = answer.at
        for index in lines.indices {
            if let credit = answer.credits[lines[index].name] { lines[index].credit = credit }
            if answer.hasMore && lines[index].isAsked { lines[index].mayHaveWork = true }
            lines[index].isAsked = false
        }
        if answer.jobs.isEmpty && !answer.hasMore {
            pollInterval = min(pollInterval * 2, poll.upperBound)
        } else {
            pollInterval = poll.lowerBound
        }
        let untilDue = answer.nextDue.map { max($0 - answer.at, .zero) } ?? pollInterval
        lookAt = uptime + min(pollInterval, untilDue)
        adaptReadAhead(at: uptime, gotAll: answer.hasMore)
        for job in answer.jobs { buffer(job) }
        return startable()
    }

    /// The store failed; look again after `wait`. What the claim may have taken is found by a later beat.
    mutating func claimFailed(at uptime: Duration, retryAfter wait: Duration) {
        (isClaiming, inFlight) = (false, inFlight - 1)
        for index in lines.indices { (lines[index].mayHaveWork, lines[index].isAsked) = (false, false) }
        lookAt = uptime + wait
    }

    /// Something may be ready.
    /// - Returns: Whether the claim loop should wake.
    mutating func signalled(_ queues: Set<QueueName>?) -> Bool {
        let concerned = lines.indices.filter { queues?.contains(lines[$0].name) ?? true }
        guard !concerned.isEmpty else { return false }
        for index in concerned { lines[index].mayHaveWork = true }
        pollInterval = poll.lowerBound
        return hasRoom
    }

    /// How long the claim loop may sleep: until the next look; `nil` while there is no room, until ``wantsClaim``.
    mutating func idleTime(at uptime: Duration) -> Duration? {
        isParked = !hasRoom
        guard !isParked else { return nil }
        return mayHaveWork ? .zero : max(lookAt - uptime, .zero)
    }

    /// Whether to wake the claim loop after something made room.
    var wantsClaim: Bool { (mayHaveWork || isParked) && hasRoom }

    /// Claims as many jobs of each queue ahead as ended during four of the last claim's round trips, and again when a
    /// quarter of them is gone: none of a queue whose jobs are long. Four, because the rate so far was that of slots which
    /// had waited for jobs at times. A round trip that takes no time still costs its share of a thread's turn, so what
    /// ends within a few milliseconds is claimed ahead in any case.
    private mutating func adaptReadAhead(at uptime: Duration, gotAll: Bool) {
        let elapsed = uptime - lastAnswerAt
        // By a clock that stands, as one moved by hand does, nothing is known to be short.
        let trips =
            elapsed > .zero ? max((uptime - claimSentAt) * 4, Self.leastReadAhead).inSeconds / elapsed.inSeconds : 0
        var left = gotAll ? readAheadLimit : 0
        for index in lines.indices {
            lines[index].readAhead = Int(min(Double(lines[index].ended) * trips, Double(left)))
            left -= lines[index].readAhead
            lines[index].ended = 0
        }
        lastAnswerAt = uptime
    }

    // MARK: Slots

    /// The attempt in a slot of this queue ended and its outcome is on its way; returns what starts instead.
    mutating func ended(in queue: QueueName) -> [ClaimedJob] {
        if let index = lines.firstIndex(where: { $0.name == queue }) {
            lines[index].running -= 1
            lines[index].ended += 1
        }
        unsettled += 1
        return startable()
    }

    /// An outcome reached the store, or was given up: the lease is forgotten.
    mutating func settled(_ lease: Lease) {
        unsettled -= 1
        held.remove(lease)
    }

    /// Drops a buffered job, because its lease was lost or it is to be given back.
    mutating func removeBuffered(where predicate: (ClaimedJob) -> Bool) -> [ClaimedJob] {
        var removed: [ClaimedJob] = []
        for index in lines.indices {
            lines[index].buffered
                .removeAll { entry in
                    guard predicate(entry.job) else { return false }
                    removed.append(entry.job)
                    return true
                }
        }
        unsettled += removed.count
        return removed
    }

    private mutating func buffer(_ job: ClaimedJob) {
        // A job of a queue that is not served cannot come; were it to, it would run in the first line.
        let index = lines.firstIndex { $0.name == job.record.queue } ?? lines.startIndex
        nextOrder += 1
        held.insert(job.lease)
        lines[index].buffered.append((nextOrder, job))
    }

    /// Moves buffered jobs into free slots, in the order in which they were claimed.
    private mutating func startable() -> [ClaimedJob] {
        var started: [ClaimedJob] = []
        var left = startsNothing ? 0 : free
        while left > 0 {
            let candidates = lines.indices.filter { lines[$0].free > 0 && !lines[$0].buffered.isEmpty }
            guard let index = candidates.min(by: { lines[$0].buffered[0].order < lines[$1].buffered[0].order })
            else { break }
            started.append(lines[index].buffered.removeFirst().job)
            lines[index].running += 1
            left -= 1
        }
        return started
    }

    // MARK: Offers

    /// Promises free slots to an insert of this process, as long as nothing else waits for them.
    mutating func reserve(for jobs: [NewJob], names: [JobName: Int]) -> [QueueName: Int]? {
        guard !startsNothing, !isClaiming, !mayHaveWork, free > buffered else { return nil }
        var slots: [QueueName: Int] = [:]
        var left = free - buffered
        for job in jobs
        where left > 0 && job.start == .now && names[job.name].map({ $0 >= job.payload.version }) == true {
            guard let index = lines.firstIndex(where: { $0.name == job.queue }),
                lines[index].free > lines[index].buffered.count
            else { continue }
            lines[index].reserved += 1
            slots[job.queue, default: 0] += 1
            left -= 1
        }
        guard !slots.isEmpty else { return nil }
        inFlight += 1
        return slots
    }

    /// An offer was used or not. What it brought starts with `startDelivered`.
    mutating func delivered(_ jobs: [ClaimedJob], of slots: [QueueName: Int]) {
        inFlight -= 1
        for index in lines.indices { lines[index].reserved -= slots[lines[index].name] ?? 0 }
        for job in jobs {
            lastClaimAt = job.record.startedAt ?? lastClaimAt
            buffer(job)
        }
    }

    /// What offers brought and starts now.
    mutating func startDelivered() -> [ClaimedJob] { startable() }

    /// Until when every lease of this worker is known to be held here; see `Beat`. Just before the latest answer,
    /// not the latest time ever seen: after a clock that stepped back, later claims bear earlier times.
    var accountedThrough: Timestamp? { inFlight == 0 ? lastClaimAt.map { $0 - .microseconds(1) } : nil }

    // MARK: Phases

    /// Whether what claims still bring is to be given back.
    var startsNothing: Bool { isDraining || isFenced }

    /// Claims stop for good; returns the buffered jobs, to be given back.
    mutating func drain() -> [ClaimedJob] {
        isDraining = true
        return removeBuffered { _ in true }
    }

    /// Leases are not trusted any more; returns the buffered jobs, to be given back if that still holds.
    mutating func fence() -> [ClaimedJob] {
        isFenced = true
        return removeBuffered { _ in true }
    }

    /// The store answered a beat again.
    mutating func unfence() {
        isFenced = false
        for index in lines.indices { lines[index].mayHaveWork = true }
    }
}
