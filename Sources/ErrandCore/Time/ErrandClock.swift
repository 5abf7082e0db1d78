// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The only source of time in Errand.
///
/// Stores bind ``now`` into what they write; the runtime measures with ``uptime`` and waits with
/// ``schedule(after:_:)``. Tests pass a manual clock (`ManualClock` in ErrandTesting) and no test sleeps.
public protocol ErrandClock: Sendable {
    /// The wall clock. May step backwards when an operator corrects it; never use it to measure.
    var now: Timestamp { get }

    /// Time since some fixed start, monotonic and counting while the machine is suspended, so that a
    /// worker that was asleep knows its lease is old.
    var uptime: Duration { get }

    /// Runs `action` once, `delay` from now, on the clock's own thread.
    ///
    /// Called by the worker, the background runner and waiting callers. The action must be short and must
    /// not block: it flips state, resumes a continuation or enqueues on an executor. A delay of zero or
    /// less runs as soon as possible, still on the clock's thread and never inside this call.
    /// - Returns: A handle that cancels. Dropping the handle does not cancel.
    @discardableResult
    func schedule(after delay: Duration, _ action: @escaping @Sendable () -> Void) -> ClockTimer
}

/// A scheduled action that can be called off.
public struct ClockTimer: Sendable {
    private let onCancel: @Sendable () -> Void

    /// A timer whose ``cancel()`` calls `onCancel`.
    public init(onCancel: @escaping @Sendable () -> Void) {
        self.onCancel = onCancel
    }

    /// Calls the action off. Has no effect when it already ran or was cancelled. An action that is
    /// running on the clock's thread at this moment may still finish.
    public func cancel() {
        onCancel()
    }
}

extension ErrandClock {
    /// Suspends the caller for `duration` without depending on a free thread of the cooperative pool to
    /// notice the time; returns early by throwing when the task is cancelled.
    /// - Throws: `CancellationError`.
    public func sleep(for duration: Duration) async throws {
        let sleeper = ClockSleeper()
        let timer = schedule(after: duration) { sleeper.wake(cancelled: false) }
        try await withTaskCancellationHandler {
            try await sleeper.wait()
        } onCancel: {
            timer.cancel()
            sleeper.wake(cancelled: true)
        }
    }
}
