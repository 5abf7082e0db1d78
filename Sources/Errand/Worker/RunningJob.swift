// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// One claimed job while a worker holds it: can be told to stop, ends once.
final class RunningJob: Sendable {
    private struct State {
        var cause: StopCause?
        var hasEnded = false
        var isCompleted = false
        var task: Task<Void, Never>?
        var timers: [ClockTimer] = []
    }

    let claimed: ClaimedJob
    /// Shutdown has begun; visible to the handler before anything is cancelled.
    var isDraining: Bool { drainFlag.isSet }
    private let drainFlag: Flag
    private let state = Mutex(State())

    init(_ claimed: ClaimedJob, drainFlag: Flag) {
        self.claimed = claimed
        self.drainFlag = drainFlag
    }

    var lease: Lease { claimed.lease }
    var record: JobRecord { claimed.record }

    /// The task that runs the handler, so that ``stop(_:)`` can cancel it.
    func attach(_ task: Task<Void, Never>) {
        let isStopped = state.withLock { state in
            state.task = task
            return state.cause != nil
        }
        if isStopped { task.cancel() }
    }

    /// A timer that is called off when the job ends.
    func keep(_ timer: ClockTimer) {
        let isLate = state.withLock { state in
            if !state.hasEnded { state.timers.append(timer) }
            return state.hasEnded
        }
        if isLate { timer.cancel() }
    }

    /// Tells the handler to stop. The first cause stays, except that a lost lease overrules all others, because
    /// then nothing may be written.
    /// - Returns: Whether this was the first cause.
    @discardableResult
    func stop(_ cause: StopCause) -> Bool {
        let (isFirst, task) = state.withLock { state in
            guard !state.hasEnded else { return (false, nil as Task<Void, Never>?) }
            // After ``markCompleted()`` the store refuses the lease because the job is done.
            if cause == .leaseLost && state.isCompleted { return (false, nil) }
            let isFirst = state.cause == nil
            if isFirst || cause == .leaseLost { state.cause = cause }
            return (isFirst, state.task)
        }
        task?.cancel()
        return isFirst
    }

    /// Why it was told to stop, if it was.
    var cause: StopCause? { state.withLock { $0.cause } }

    /// Whether ``end()`` was called.
    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    /// Ends it: by the handler's end or by abandoning it, whichever comes first.
    /// - Returns: The cause at that moment; `nil` inside for none. Nothing at all for the second caller.
    func end() -> StopCause?? {
        let (isFirst, cause, timers) = state.withLock { state in
            defer {
                state.hasEnded = true
                state.timers = []
                state.task = nil
            }
            return (!state.hasEnded, state.cause, state.timers)
        }
        guard isFirst else { return nil }
        for timer in timers { timer.cancel() }
        return .some(cause)
    }

    /// The handler completed the job in a transaction of its own.
    func markCompleted() {
        state.withLock { $0.isCompleted = true }
    }

    /// Whether the handler completed the job in a transaction of its own; its settlement may then be refused.
    var isCompleted: Bool { state.withLock { $0.isCompleted } }
}
