// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import Synchronization

/// A clock that stands still until a test moves it.
///
/// Timers fire inside ``advance(by:)``, on the thread that calls it, in order of their deadlines, with `now`
/// and `uptime` standing at each deadline in turn. A test waits for the code under test to go to sleep with
/// ``nextTimer()`` or ``waitForTimers(atLeast:)``, then moves the clock: no test sleeps, and none guesses.
public final class ManualClock: ErrandClock {
    private struct State: ~Copyable {
        var uptime: Duration = .zero
        /// What `now` is when `uptime` is zero.
        var origin: Timestamp
        var timers = TimerQueue<@Sendable () -> Void>()
        var waiters: [Waiter] = []
    }

    private struct Waiter {
        let id: UInt64
        let isSatisfied: @Sendable ([Duration]) -> Bool
        let continuation: CheckedContinuation<Void, Never>
    }

    private let state: Mutex<State>
    private let nextWaiter = Atomic<UInt64>(0)

    /// A clock that stands at `start`, 2026-01-01T00:00:00Z by default.
    public init(startingAt start: Timestamp = Timestamp(microseconds: 1_767_225_600_000_000)) {
        state = Mutex(State(origin: start))
    }

    /// Where the clock stands; moved by ``advance(by:)`` and ``stepWallClock(by:)``.
    public var now: Timestamp { state.withLock { $0.origin + $0.uptime } }

    /// How far the clock was advanced in all.
    public var uptime: Duration { state.withLock { $0.uptime } }

    /// How many timers wait; cancelled ones do not.
    public var timerCount: Int { state.withLock { $0.timers.count } }

    /// Runs `action` in the ``advance(by:)`` that reaches it.
    ///
    /// One with a delay of zero or less waits for the next `advance` too, even one by zero.
    @discardableResult
    public func schedule(after delay: Duration, _ action: @escaping @Sendable () -> Void) -> ClockTimer {
        let (id, ready) = state.withLock { state in
            let id = state.timers.add(action, at: state.uptime + max(delay, .zero)).id
            return (id, takeSatisfied(&state))
        }
        for waiter in ready { waiter.resume() }
        return ClockTimer { [self] in
            let action = state.withLock { $0.timers.cancel(id) }
            _ = action
        }
    }

    /// Moves the clock forward, stopping at each deadline on the way to run what is due there, also what
    /// those actions schedule within the stretch.
    public func advance(by duration: Duration) {
        let target = uptime + max(duration, .zero)
        while true {
            let action: (@Sendable () -> Void)? = state.withLock { state in
                guard let due = state.timers.takeDue(at: target) else {
                    state.uptime = max(state.uptime, target)
                    return nil
                }
                state.uptime = max(state.uptime, due.deadline)
                return due.action
            }
            guard let action else { return }
            action()
        }
    }

    /// Steps the wall clock without moving `uptime` or firing anything, as an operator's correction does.
    public func stepWallClock(by duration: Duration) {
        state.withLock { $0.origin = $0.origin + duration }
    }

    /// Waits until somebody has a timer, then says how far away the nearest one is.
    @discardableResult
    public func nextTimer() async -> Duration {
        await wait { !$0.isEmpty }
        return state.withLock { ($0.timers.deadlines.first ?? $0.uptime) - $0.uptime }
    }

    /// Waits until at least this many timers wait.
    public func waitForTimers(atLeast count: Int) async {
        await wait { $0.count >= count }
    }

    /// Waits until a timer is set to fire exactly this far from now: for code with several timers of known
    /// lengths.
    public func waitForTimer(in delay: Duration) async {
        let deadline = uptime + delay
        await wait { $0.contains(deadline) }
    }

    private func wait(until isSatisfied: @escaping @Sendable ([Duration]) -> Bool) async {
        let id = nextWaiter.add(1, ordering: .relaxed).newValue
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let resumeNow = state.withLock { state in
                    if Task.isCancelled || isSatisfied(state.timers.deadlines) { return true }
                    state.waiters.append(Waiter(id: id, isSatisfied: isSatisfied, continuation: continuation))
                    return false
                }
                if resumeNow { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                state.waiters.firstIndex { $0.id == id }.map { state.waiters.remove(at: $0) }
            }
            waiter?.continuation.resume()
        }
    }

    private func takeSatisfied(_ state: inout State) -> [CheckedContinuation<Void, Never>] {
        guard !state.waiters.isEmpty else { return [] }
        let deadlines = state.timers.deadlines
        let ready = state.waiters.filter { $0.isSatisfied(deadlines) }
        state.waiters.removeAll { $0.isSatisfied(deadlines) }
        return ready.map(\.continuation)
    }
}
