// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Logging
import Synchronization

extension BackgroundRunner {
    typealias TaskID = BackgroundRunnerStateMachine.TaskID
    typealias HoldID = BackgroundRunnerStateMachine.HoldID
    typealias Machine = BackgroundRunnerStateMachine

    typealias CancelReason = BackgroundTask.CancelReason

    /// What wakes `run()`.
    enum ShutdownSignal {
        case graceful
        case cancelled
        case deadline
        case timeUp
        case idle
    }

    struct Record {
        let task: BackgroundTask
        /// When it could have started, had there been a slot.
        var since: Duration
        var attempt = 0
        var timer: ClockTimer?
        /// So that a timer that fires before it is written down here cannot undo its successor.
        var timerNumber = 0
        /// Who waits for the attempt when it runs inline; see `runInline`.
        var inline: InlineAnswer?

        /// The attempt has ended and another one is to come.
        mutating func rest(until time: Duration) {
            timer?.cancel()
            timer = nil
            since = time
        }

        /// Begins the next attempt; `nil` when the task has ended.
        mutating func launch() -> Launch? {
            guard let (body, attempt) = task.beginAttempt() else { return nil }
            self.attempt = attempt
            timer = nil
            return Launch(task: task, body: body, attempt: attempt, since: since)
        }
    }

    /// How an attempt that runs inline ended; `nil` when it ignored its cancellation.
    typealias InlineAnswer = FirstAnswer<Result<Void, any Error>?>

    enum Hold {
        /// Not admitted, nobody waits yet.
        case open
        case waiting(CheckedContinuation<Void, Never>)
        /// Admitted before anybody waited.
        case admitted
    }

    /// What is to be done after the lock is released.
    struct Effects {
        var launches: [Launch] = []
        var ended: [Ended] = []
        var resumes: [CheckedContinuation<Void, Never>] = []
        var queued = 0
        var running = 0
        var becameIdle = false
    }

    /// An attempt that begins.
    struct Launch {
        let task: BackgroundTask
        let body: BackgroundTask.Body
        let attempt: Int
        /// When it could have started, had there been a slot.
        let since: Duration
    }

    /// A task that has just ended, and who waits for that.
    struct Ended {
        let task: BackgroundTask
        let outcome: BackgroundTaskOutcome
        let waiters: [CheckedContinuation<BackgroundTaskOutcome, Never>]
    }

    struct State {
        var machine: Machine
        let isRecording: Bool
        var records: [TaskID: Record] = [:]
        var holds: [HoldID: Hold] = [:]
        var pending: [BackgroundTask] = []
        var finished: [BackgroundTaskReport] = []
        /// What shutdown dropped, cancelled or left behind.
        var lost: [BackgroundTaskReport] = []
        /// The end of the whole shutdown in uptime, once the server was told to stop.
        var deadline: Duration?

        /// How many callers run tasks themselves.
        var inlineCallers = 0

        static let recordLimit = 10_000

        /// Whether an attempt of the task runs, in a slot or inline.
        func isRunning(_ task: TaskID) -> Bool { machine.isRunning(task) || records[task]?.inline != nil }

        /// The tasks that run inline.
        var inline: [Record] { records.values.filter { $0.inline != nil }.sorted { $0.task.id < $1.task.id } }

        /// Every task of which an attempt runs, in a slot or inline.
        var runningTasks: [BackgroundTask] {
            machine.runningTasks.compactMap { records[$0]?.task } + inline.map(\.task)
        }

        /// Ends a task under the lock, so that a task added to follow it sees it either running or ended.
        mutating func end(_ task: BackgroundTask, _ outcome: BackgroundTaskOutcome, isLost: Bool = false) -> Ended? {
            let record = records.removeValue(forKey: task.id)
            record?.timer?.cancel()
            guard let waiters = task.end(outcome) else { return nil }
            if isRecording && finished.count < Self.recordLimit { finished.append(task.report) }
            if isLost { lost.append(task.report) }
            return Ended(task: task, outcome: outcome, waiters: waiters)
        }

        /// Begins the next attempt of a task that was given a slot; `nil` when it has ended.
        private mutating func launch(_ id: TaskID) -> Launch? {
            records[id]?.launch() ?? nil
        }

        /// Turns the machine's numbers into tasks and continuations.
        mutating func effects(of actions: Machine.Actions) -> Effects {
            var effects = Effects(queued: actions.queued, running: actions.running)
            effects.launches = actions.start.compactMap { launch($0) }
            for id in actions.skip {
                guard let task = records[id]?.task, let ended = end(task, .skipped) else { continue }
                effects.ended.append(ended)
            }
            for id in actions.admitted {
                switch holds[id] {
                case .waiting(let continuation):
                    effects.resumes.append(continuation)
                    holds[id] = nil
                case .open: holds[id] = .admitted
                case .admitted, nil: break
                }
            }
            effects.becameIdle = machine.phase != .accepting && machine.isIdle
            return effects
        }

        /// The tasks as the machine wants them, each with what is known about the one it follows.
        mutating func arrivals(_ batch: BackgroundBatch, now: Duration) -> [Machine.Line] {
            batch.lines.map { line in
                Machine.Line(
                    tasks: line.tasks.compactMap { task in
                        // One cancelled through its handle has ended already.
                        guard task.result == nil else { return nil }
                        records[task.id] = Record(task: task, since: now)
                        return Machine.Arrival(
                            id: task.id,
                            dependency: dependency(of: task),
                            attempts: task.options.retry.maxAttempts
                        )
                    },
                    width: line.width
                )
            }
        }

        private func dependency(of task: BackgroundTask) -> Machine.Dependency {
            guard let other = task.options.after?.task else { return .none }
            guard let outcome = other.result else { return .pending(other.id) }
            return outcome.isSuccess ? .succeeded : .missed
        }
    }

    /// Changes the state under the lock and does outside of it what follows.
    func transact<Answer>(_ change: (inout State) -> (Answer, Machine.Actions)) -> Answer {
        let (answer, effects) = state.withLock { state in
            let (answer, actions) = change(&state)
            return (answer, state.effects(of: actions))
        }
        carryOut(effects)
        return answer
    }

    func carryOut(_ effects: Effects) {
        metrics.changed(queued: effects.queued, running: effects.running)
        for attempt in effects.launches { launch(attempt) }
        for ended in effects.ended { announce(ended) }
        for continuation in effects.resumes { continuation.resume() }
        if effects.becameIdle { signals.continuation.yield(.idle) }
    }

    /// Tells everybody about a task that ended without running.
    func announce(_ ended: Ended, isLogged: Bool = true) {
        let task = ended.task
        metrics.ended(name: task.name, outcome: ended.outcome, duration: nil)
        switch ended.outcome {
        case .skipped where isLogged:
            task.logger.info("background task skipped: the one it follows did not succeed", metadata: metadata(task))
        case .dropped(let reason):
            metrics.dropped(reason)
            if isLogged {
                var metadata = metadata(task)
                metadata[BackgroundLog.reason] = "\(reason.rawValue)"
                task.logger.log(level: reason.level, "background task dropped", metadata: metadata)
            }
        default: break
        }
        for waiter in ended.waiters { waiter.resume(returning: ended.outcome) }
    }

    /// Ends a task that will not run.
    func drop(_ task: BackgroundTask, _ reason: BackgroundDropReason, isLogged: Bool = true) {
        let ended = state.withLock { $0.end(task, .dropped(reason), isLost: reason == .shutdown) }
        if let ended { announce(ended, isLogged: isLogged) }
    }
}
