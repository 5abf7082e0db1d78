// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import ErrandCore
import Synchronization

/// Measures how long a task waits for its turn on Swift's shared pool of threads, where requests are answered.
///
/// Driven from the clock's thread: a loop of `Task.sleep` would be starved by what it should measure, and
/// report microseconds while requests wait for seconds.
package final class SharedPoolProbe: Sendable {
    private enum State {
        /// Not started, or stopped.
        case off
        /// Between two measurements.
        case resting(ClockTimer)
        /// A task was submitted at `since` and has not run yet.
        case measuring(since: Duration, ClockTimer)
    }

    private let clock: any ErrandClock
    private let interval: Duration
    private let report: @Sendable (_ wait: Duration) -> Void
    private let state = Mutex<State>(.off)

    /// - Parameters:
    ///   - clock: Whose thread measures.
    ///   - interval: How often.
    ///   - report: Called once per interval with the wait: the whole of it when the task has run, what it has
    ///     been so far while the task still waits. Must not block.
    package init(
        clock: any ErrandClock,
        interval: Duration = .milliseconds(100),
        report: @escaping @Sendable (_ wait: Duration) -> Void
    ) {
        self.clock = clock
        self.interval = interval
        self.report = report
    }

    deinit { stop() }

    /// Measures from now on, until ``stop()``.
    package func start() {
        state.withLock { state in
            guard case .off = state else { return }
            state = .resting(arm())
        }
    }

    /// Measures no more.
    package func stop() {
        let timer: ClockTimer? = state.withLock { state in
            defer { state = .off }
            switch state {
            case .off: return nil
            case .resting(let timer), .measuring(_, let timer): return timer
            }
        }
        timer?.cancel()
    }

    private func arm() -> ClockTimer {
        clock.schedule(after: interval) { [weak self] in self?.tick() }
    }

    private func tick() {
        enum Step {
            case submit(since: Duration)
            case report(Duration)
            case nothing
        }
        let now = clock.uptime
        let step: Step = state.withLock { state in
            switch state {
            case .off:
                return .nothing
            case .resting:
                state = .measuring(since: now, arm())
                return .submit(since: now)
            case .measuring(let since, _):
                state = .measuring(since: since, arm())
                return .report(now - since)
            }
        }
        switch step {
        case .submit(let since): Task.detached { [weak self] in self?.ran(since: since) }
        case .report(let wait): report(wait)
        case .nothing: break
        }
    }

    private func ran(since: Duration) {
        let wait = clock.uptime - since
        let isCurrent = state.withLock { state in
            guard case .measuring(let submitted, let timer) = state, submitted == since else { return false }
            state = .resting(timer)
            return true
        }
        if isCurrent { report(wait) }
    }
}
