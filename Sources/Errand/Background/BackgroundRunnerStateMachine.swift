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
    typealias LineID = UInt64

    enum Phase {
        /// From the start. Leaves to `draining` or `cancelling`.
        case accepting
        /// Entered at shutdown: nothing new but what is urgent, what is there goes on. Leaves to `cancelling`.
        case draining
        /// Entered when nothing is left to drain, the drain's budget is used up or the service is cancelled: only
        /// running tasks are left.
        case cancelling
    }

    struct Entry {
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
        /// `nil` when it is alone in it.
        var line: LineID?
        var dependency: Dependency
        var attemptsLeft: Int
        var hadLastChance = false
        /// Takes one of the slots for what is urgent.
        var isUrgent = false
        var followers: [TaskID] = []
    }

    /// What a free slot may go to.
    enum Ready {
        case line(LineID)
        /// The only task of its line, which is not written down.
        case lone(TaskID)
    }

    struct LineState {
        var waiting: Deque<TaskID> = []
        var running = 0
        let width: Int
        var isReady = false
    }

    let concurrency: Int
    let queueLimit: Int
    let overflow: BackgroundOverflow
    var phase: Phase = .accepting
    var queued = 0
    var running = 0
    var reserved = 0
    var entries: [TaskID: Entry] = [:]
    var lines: [LineID: LineState] = [:]
    var ready: Deque<Ready> = []
    /// What waits for a slot for what is urgent.
    var urgent: Deque<TaskID> = []
    var urgentRunning = 0
    var held: Deque<(id: HoldID, lines: [Line])> = []
    var nextLine: LineID = 0
    var nextHold: HoldID = 0

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

    mutating func count(queued: Int = 0, running: Int = 0, _ actions: inout Actions) {
        self.queued += queued
        self.running += running
        actions.queued += queued
        actions.running += running
    }
}
