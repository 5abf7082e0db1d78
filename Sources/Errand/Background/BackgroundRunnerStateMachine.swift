// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// Decides which background task starts when: lines, slots, the queue and its bound, dependencies, retries,
/// shutdown.
///
/// Knows numbers only; whoever owns it keeps the tasks, calls it under a lock and does afterwards what its
/// ``Actions`` say.
struct BackgroundRunnerStateMachine {
    typealias TaskID = UInt64
    typealias HoldID = UInt64
    private typealias LineID = UInt64

    enum Phase {
        /// From the start. Leaves to `draining` or `cancelling`.
        case accepting
        /// Entered at shutdown: nothing new but what is urgent, what is there goes on. Leaves to `cancelling`.
        case draining
        /// Entered when nothing is left to drain, the drain's budget is used up or the service is cancelled: only
        /// running tasks are left.
        case cancelling
    }

    /// What is known about the task that another one is to follow.
    enum Dependency {
        case none
        case pending(TaskID)
        case succeeded
        case missed
    }

    /// A task as it arrives.
    struct Arrival {
        let id: TaskID
        var dependency: Dependency = .none
        var attempts = 1
    }

    /// Tasks that run in order, up to `width` of them at once.
    struct Line {
        var tasks: [Arrival]
        var width = 1
    }

    /// Who brings tasks, which decides what a full queue means.
    enum Origin {
        /// A response that was written: its connection can be held.
        case connection
        /// A request that cannot be held at this point; its connection is held later.
        case request
        /// Nobody who could be held.
        case outside
    }

    enum Submission: Equatable {
        case accepted
        /// Accepted beyond the bound: hold the connection when that is possible.
        case acceptedOverLimit
        /// The caller waits until this hold is in `Actions.admitted`.
        case held(HoldID)
        /// The caller is to run the tasks itself.
        case callerRuns
        /// These were not taken, the others were.
        case shed([TaskID])
        /// Shutdown; none was taken.
        case refused
    }

    enum Result {
        case succeeded
        case failed
        /// Failed in a way that must not be tried again, or cancelled.
        case final
    }

    enum Verdict: Equatable {
        /// The task has ended.
        case ended
        /// Call `retryDue` after the delay.
        case retryLater
        /// Shutdown leaves no time to wait: it is in line again at once, for one last attempt.
        case lastChance
        /// The task's place was given away before; nothing changes.
        case unknown
    }

    struct Actions {
        var start: [TaskID] = []
        var skip: [TaskID] = []
        var admitted: [HoldID] = []
        /// How the number of queued and of running tasks changed.
        var queued = 0
        var running = 0
    }

    private struct Entry {
        enum Stage {
            /// In a line. Leaves to `parked`, `running` or away.
            case waiting
            /// Out of its line until the task it follows has ended. Leaves to `waiting` or away.
            case parked
            /// Holds a slot. Leaves to `delayed` or away.
            case running
            /// Waits for its next attempt. Leaves to `waiting` or away.
            case delayed
        }

        var stage: Stage = .waiting
        var line: LineID
        var dependency: Dependency
        var attemptsLeft: Int
        var hadLastChance = false
        /// Takes one of the slots for what is urgent.
        var isUrgent = false
        var followers: [TaskID] = []
    }

    private struct LineState {
        var waiting: Deque<TaskID> = []
        var running = 0
        let width: Int
        var isReady = false
    }

    private let concurrency: Int
    private let queueLimit: Int
    private let overflow: BackgroundOverflow
    private(set) var phase: Phase = .accepting
    private(set) var queued = 0
    private(set) var running = 0
    private(set) var reserved = 0
    private var entries: [TaskID: Entry] = [:]
    private var lines: [LineID: LineState] = [:]
    private var ready: Deque<LineID> = []
    /// What waits for a slot for what is urgent.
    private var urgent: Deque<TaskID> = []
    private var urgentRunning = 0
    private var held: Deque<(id: HoldID, lines: [Line])> = []
    private var nextLine: LineID = 0
    private var nextHold: HoldID = 0

    init(concurrency: Int, queueLimit: Int, overflow: BackgroundOverflow) {
        self.concurrency = max(concurrency, 1)
        self.queueLimit = max(queueLimit, 0)
        self.overflow = overflow
    }

    /// Whether no task is queued, waits for a retry or runs.
    var isIdle: Bool { entries.isEmpty && held.isEmpty }

    /// Whether the task holds a slot.
    func isRunning(_ task: TaskID) -> Bool { entries[task]?.stage == .running }

    /// Every task that has not ended.
    var unfinished: [TaskID] { entries.keys.sorted() }

    /// The tasks that hold a slot.
    var runningTasks: [TaskID] { entries.filter { $0.value.stage == .running }.keys.sorted() }

    // MARK: Arriving

    /// Takes lines of tasks.
    ///
    /// `reservation` gives back places taken with `reserve`.
    mutating func submit(_ new: [Line], from origin: Origin, reservation: Int = 0) -> (Submission, Actions) {
        var actions = Actions()
        release(reservation)
        guard phase == .accepting else { return (.refused, actions) }
        let count = new.reduce(0) { $0 + $1.tasks.count }
        let mayBeHeld = overflow == .wait && origin == .connection
        let isReserved = reservation > 0 && count <= reservation
        if isReserved || held.isEmpty && (mayBeHeld ? fitsHeld(count) : fits(count)) {
            add(new, &actions)
            pump(&actions)
            admit(&actions)
            return (.accepted, actions)
        }
        switch (overflow, origin) {
        case (.shed, _), (_, .outside):
            let (kept, shed) = split(new, keeping: held.isEmpty ? room : 0)
            add(kept, &actions)
            pump(&actions)
            return (.shed(shed), actions)
        case (.wait, .request), (.callerRuns, .request):
            add(new, &actions)
            pump(&actions)
            return (.acceptedOverLimit, actions)
        case (.wait, .connection):
            let submission = hold(new)
            // A reservation that was just given back may have been all that kept those before it waiting.
            if reservation > 0 { admit(&actions) }
            return (submission, actions)
        case (.callerRuns, .connection):
            return (count == 0 ? .accepted : .callerRuns, actions)
        }
    }

    /// Takes a task that must not wait for the others: for what is urgent there are as many slots again. No bound
    /// keeps it out, and the drain does not either.
    /// - Returns: `false` when only running tasks are left; then it was not taken.
    mutating func submitUrgent(_ task: Arrival) -> (Bool, Actions) {
        var actions = Actions()
        guard phase != .cancelling else { return (false, actions) }
        entries[task.id] = Entry(
            line: makeLine(width: 1),
            dependency: task.dependency,
            attemptsLeft: task.attempts,
            isUrgent: true
        )
        count(queued: 1, &actions)
        urgent.append(task.id)
        pump(&actions)
        return (true, actions)
    }

    /// Takes `count` places in the queue for tasks to come.
    /// - Returns: Whether there was room.
    mutating func reserve(_ count: Int) -> Bool {
        guard phase == .accepting, held.isEmpty, count <= room else { return false }
        reserved += max(count, 0)
        return true
    }

    /// Gives back places that no task will use; who was held for them may go on.
    mutating func releaseReservation(_ count: Int) -> Actions {
        var actions = Actions()
        release(count)
        admit(&actions)
        return actions
    }

    private mutating func release(_ count: Int) { reserved = max(reserved - count, 0) }

    private mutating func hold(_ new: [Line]) -> Submission {
        nextHold += 1
        held.append((nextHold, new))
        return .held(nextHold)
    }

    /// How many more tasks may come: free places, and slots that nothing waits for.
    private var room: Int {
        max(queueLimit - queued - reserved, 0) + (ready.isEmpty ? max(freeSlots, 0) : 0)
    }

    private var freeSlots: Int { concurrency - (running - urgentRunning) }

    /// Whether a batch may come in.
    ///
    /// Whoever brings none asks whether the bound is kept, because tasks of the same request went beyond it
    /// before.
    private func fits(_ count: Int) -> Bool {
        count == 0 ? queued + reserved <= queueLimit : count <= room
    }

    /// Whether a batch that is held may come in: one larger than the whole queue must some day, so it does when
    /// the queue is empty.
    private func fitsHeld(_ count: Int) -> Bool { fits(count) || (queued == 0 && reserved == 0) }

    private func split(_ new: [Line], keeping places: Int) -> (kept: [Line], shed: [TaskID]) {
        var (kept, shed, left): ([Line], [TaskID], Int) = ([], [], places)
        for line in new {
            let taken = line.tasks.prefix(left)
            left -= taken.count
            if !taken.isEmpty { kept.append(Line(tasks: Array(taken), width: line.width)) }
            shed += line.tasks.dropFirst(taken.count).map(\.id)
        }
        return (kept, shed)
    }

    private mutating func add(_ new: [Line], _ actions: inout Actions) {
        for line in new where !line.tasks.isEmpty {
            let id = makeLine(width: line.width)
            for task in line.tasks {
                entries[task.id] = Entry(line: id, dependency: task.dependency, attemptsLeft: task.attempts)
                lines[id]?.waiting.append(task.id)
            }
            count(queued: line.tasks.count, &actions)
            makeReady(id)
        }
        // Only now: a task may follow one in a later line of the same request.
        for task in new.lazy.flatMap(\.tasks) {
            if case .pending(let other) = task.dependency { follow(task.id, other) }
        }
    }

    private mutating func follow(_ task: TaskID, _ other: TaskID) {
        if entries[other] == nil {
            // It ended without being known to have succeeded, or was never taken.
            entries[task]?.dependency = .missed
        } else {
            entries[other]?.followers.append(task)
        }
    }

    private mutating func makeLine(width: Int) -> LineID {
        nextLine += 1
        lines[nextLine] = LineState(width: max(width, 1))
        return nextLine
    }

    private mutating func makeReady(_ id: LineID) {
        guard var line = lines[id] else { return }
        if line.waiting.isEmpty {
            if line.running == 0 { lines[id] = nil }
            return
        }
        guard !line.isReady, line.running < line.width else { return }
        line.isReady = true
        lines[id] = line
        ready.append(id)
    }

    private mutating func count(queued: Int = 0, running: Int = 0, _ actions: inout Actions) {
        self.queued += queued
        self.running += running
        actions.queued += queued
        actions.running += running
    }

    // MARK: Starting

    /// Gives free slots to what is urgent and to ready lines, in turn.
    private mutating func pump(_ actions: inout Actions) {
        while urgentRunning < concurrency, let task = urgent.popFirst() {
            if let line = entries[task]?.line { take(task, from: line, &actions) }
        }
        while freeSlots > 0, let id = ready.popFirst() {
            guard var line = lines[id] else { continue }
            line.isReady = false
            let task = line.waiting.popFirst()
            lines[id] = line
            if let task { take(task, from: id, &actions) }
            makeReady(id)
        }
    }

    private mutating func take(_ task: TaskID, from line: LineID, _ actions: inout Actions) {
        guard var entry = entries[task], entry.stage == .waiting else { return }
        switch entry.dependency {
        case .pending:
            entry.stage = .parked
            entries[task] = entry
        case .missed:
            skip(task, &actions)
        case .none, .succeeded:
            entry.stage = .running
            entry.attemptsLeft -= 1
            entries[task] = entry
            lines[line]?.running += 1
            if entry.isUrgent { urgentRunning += 1 }
            count(queued: -1, running: 1, &actions)
            actions.start.append(task)
        }
    }

    private mutating func admit(_ actions: inout Actions) {
        while let next = held.first, fitsHeld(next.lines.reduce(0) { $0 + $1.tasks.count }) {
            held.removeFirst()
            actions.admitted.append(next.id)
            add(next.lines, &actions)
            pump(&actions)
        }
    }

    // MARK: Ending

    /// An attempt has ended.
    mutating func ended(_ task: TaskID, _ result: Result) -> (Verdict, Actions) {
        var actions = Actions()
        guard var entry = entries[task], entry.stage == .running else { return (.unknown, actions) }
        freeSlot(of: entry, &actions)
        var verdict = Verdict.ended
        if case .failed = result, entry.attemptsLeft > 0, !entry.hadLastChance, phase != .cancelling {
            verdict = phase == .draining ? .lastChance : .retryLater
            entry.stage = .delayed
            entries[task] = entry
            count(queued: 1, &actions)
            if verdict == .lastChance { rejoin(task, isLast: true) }
        } else {
            leave(task, succeeded: result == .succeeded, &actions)
        }
        pump(&actions)
        admit(&actions)
        return (verdict, actions)
    }

    /// The delay before a task's next attempt is over.
    mutating func retryDue(_ task: TaskID) -> Actions {
        var actions = Actions()
        guard entries[task]?.stage == .delayed else { return actions }
        rejoin(task, isLast: false)
        pump(&actions)
        return actions
    }

    /// A task that ignores its cancellation loses its slot and counts as ended.
    /// - Returns: `nil` when it has ended in the meantime.
    mutating func abandon(_ task: TaskID) -> Actions? {
        guard let entry = entries[task], entry.stage == .running else { return nil }
        var actions = Actions()
        freeSlot(of: entry, &actions)
        leave(task, succeeded: false, &actions)
        pump(&actions)
        admit(&actions)
        return actions
    }

    /// Takes a task out that does not run.
    /// - Returns: `nil` when it runs or has ended.
    mutating func remove(_ task: TaskID) -> Actions? {
        for hold in held.indices {
            for line in held[hold].lines.indices { held[hold].lines[line].tasks.removeAll { $0.id == task } }
        }
        guard let entry = entries[task], entry.stage != .running else { return nil }
        var actions = Actions()
        lines[entry.line]?.waiting.removeAll { $0 == task }
        if entry.isUrgent {
            urgent.removeAll { $0 == task }
            lines[entry.line] = nil
        }
        count(queued: -1, &actions)
        leave(task, succeeded: false, &actions)
        pump(&actions)
        admit(&actions)
        return actions
    }

    private mutating func freeSlot(of entry: Entry, _ actions: inout Actions) {
        count(running: -1, &actions)
        if entry.isUrgent { urgentRunning -= 1 }
        lines[entry.line]?.running -= 1
        makeReady(entry.line)
    }

    /// A task that left its line comes back in a line of its own.
    private mutating func rejoin(_ task: TaskID, isLast: Bool) {
        let line = makeLine(width: 1)
        entries[task]?.stage = .waiting
        entries[task]?.line = line
        if isLast { entries[task]?.hadLastChance = true }
        guard entries[task]?.isUrgent == false else {
            urgent.append(task)
            return
        }
        lines[line]?.waiting.append(task)
        makeReady(line)
    }

    private mutating func skip(_ task: TaskID, _ actions: inout Actions) {
        actions.skip.append(task)
        count(queued: -1, &actions)
        leave(task, succeeded: false, &actions)
    }

    /// Forgets a task and tells those that follow it.
    private mutating func leave(_ task: TaskID, succeeded: Bool, _ actions: inout Actions) {
        guard let entry = entries.removeValue(forKey: task) else { return }
        for follower in entry.followers {
            guard let stage = entries[follower]?.stage else { continue }
            entries[follower]?.dependency = succeeded ? .succeeded : .missed
            guard stage == .parked else { continue }
            if succeeded { rejoin(follower, isLast: false) } else { skip(follower, &actions) }
        }
    }

    // MARK: Shutdown

    /// Takes nothing new; tasks that wait for a retry get one last attempt at once.
    mutating func beginDrain() -> Actions {
        var actions = Actions()
        guard phase == .accepting else { return actions }
        phase = .draining
        for (task, entry) in entries.sorted(by: { $0.key < $1.key }) where entry.stage == .delayed {
            rejoin(task, isLast: true)
        }
        for next in held {
            actions.admitted.append(next.id)
            add(next.lines, &actions)
        }
        held = []
        pump(&actions)
        return actions
    }

    /// Ends the drain if nothing is left; from then on nothing at all is taken.
    /// - Returns: Whether nothing was left.
    mutating func endIfIdle() -> Bool {
        guard isIdle else { return false }
        phase = .cancelling
        return true
    }

    /// Drops what does not run.
    /// - Returns: What was dropped, and what runs and is to be cancelled.
    mutating func beginCancel() -> (dropped: [TaskID], running: [TaskID], actions: Actions) {
        var actions = Actions()
        phase = .cancelling
        for next in held {
            actions.admitted.append(next.id)
            add(next.lines, &actions)
        }
        held = []
        let dropped = entries.filter { $0.value.stage != .running }.keys.sorted()
        for task in dropped { entries[task] = nil }
        ready = []
        urgent = []
        lines = lines.filter { $0.value.running > 0 }
        for line in lines.keys { lines[line]?.waiting = [] }
        count(queued: -queued, &actions)
        return (dropped, runningTasks, actions)
    }
}
