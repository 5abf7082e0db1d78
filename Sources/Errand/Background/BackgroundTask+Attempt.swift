// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

extension BackgroundTask {
    /// Why a running attempt was cancelled.
    enum CancelReason {
        case timeout
        case handle
        case shutdown
    }

    /// What is known of the attempt that runs. Kept with the task, whose lock nobody else wants, and not with the
    /// runner, whose lock everybody does.
    struct Attempt {
        /// To cancel it with; `nil` until it has been launched.
        var swiftTask: Task<Void, Never>?
        var cancelReason: CancelReason?
        /// When its thread came to it; its limits count from here.
        var started: Duration?
        var isToldSlow = false
    }

    /// What is to be done about how long an attempt takes.
    enum Overrun {
        /// Nothing before then; nothing ever when `nil`.
        case none(until: Duration?)
        /// It is to be told that the attempt is slow, once; the next look is then.
        case slow(until: Duration?)
        case timedOut(attempt: Int)
    }

    /// Writes down what the attempt is to be cancelled with.
    /// - Returns: Whether somebody has wanted that already.
    func launched(_ swiftTask: Task<Void, Never>, attempt: Int) -> Bool {
        state.withLock { state in
            guard state.attempts == attempt, state.outcome == nil else { return false }
            state.attempt.swiftTask = swiftTask
            return state.attempt.cancelReason != nil
        }
    }

    /// Notes that the attempt is to be cancelled; the first reason counts, but for the shutdown, which does in any case.
    /// - Returns: What to cancel; `nil` while it is being launched, which looks for a reason.
    func cancelAttempt(_ reason: CancelReason) -> Task<Void, Never>? {
        state.withLock { state in
            if state.attempt.cancelReason == nil || reason == .shutdown { state.attempt.cancelReason = reason }
            return state.attempt.swiftTask
        }
    }

    /// The same for an attempt that timed out, if nobody wanted it cancelled before.
    func timeOut(attempt: Int) -> Task<Void, Never>? {
        state.withLock { state in
            guard state.attempts == attempt, state.outcome == nil, state.attempt.cancelReason == nil else { return nil }
            state.attempt.cancelReason = .timeout
            return state.attempt.swiftTask
        }
    }

    /// Forgets the attempt, which has ended.
    /// - Returns: Why it was cancelled, if it was.
    func endAttempt() -> CancelReason? {
        state.withLock { state in
            defer { state.attempt = Attempt() }
            return state.attempt.cancelReason
        }
    }

    /// The limits of the attempt count from now.
    func startAttempt(_ attempt: Int, at now: Duration) {
        state.withLock { state in
            if state.attempts == attempt { state.attempt.started = now }
        }
    }

    /// Looks whether the attempt that runs has taken too long.
    func overrun(at now: Duration, slow: Duration, timeout: Duration?) -> Overrun {
        state.withLock { state in
            guard let started = state.attempt.started, state.attempt.cancelReason == nil else {
                return .none(until: nil)
            }
            let end = timeout.map { started + $0 }
            if let end, end <= now { return .timedOut(attempt: state.attempts) }
            let slowness = started + slow
            guard !state.attempt.isToldSlow, end.map({ slowness < $0 }) ?? true else { return .none(until: end) }
            guard slowness <= now else { return .none(until: slowness) }
            state.attempt.isToldSlow = true
            return .slow(until: end)
        }
    }
}
