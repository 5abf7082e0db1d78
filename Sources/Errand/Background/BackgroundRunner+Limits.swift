// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Logging
import Synchronization

extension BackgroundRunner {
    /// The one timer for the limits of all attempts.
    ///
    /// It is set for the earliest limit. An attempt whose own limits come later, and that is almost every one, only
    /// compares two numbers.
    final class LimitTimer: Sendable {
        private let earliest = Atomic<Int64>(.max)
        private let timer = Mutex<ClockTimer?>(nil)

        /// Sees to it that somebody looks then.
        func set(_ limit: Duration, on clock: any ErrandClock, _ look: @escaping @Sendable () -> Void) {
            guard limit.wholeMicroseconds < earliest.load(ordering: .sequentiallyConsistent) else { return }
            let former: ClockTimer? = timer.withLock { timer in
                guard limit.wholeMicroseconds < earliest.load(ordering: .sequentiallyConsistent) else { return nil }
                earliest.store(limit.wholeMicroseconds, ordering: .sequentiallyConsistent)
                defer { timer = clock.schedule(after: limit - clock.uptime, look) }
                return timer
            }
            former?.cancel()
        }

        /// The timer has fired. Who starts from now on sets it again; who started before is looked at after this.
        func fired() {
            timer.withLock { timer in
                timer = nil
                earliest.store(.max, ordering: .sequentiallyConsistent)
            }
        }
    }

    /// Sets the limits of an attempt that starts now: first for being slow or timed out, whichever comes first.
    func limit(_ task: BackgroundTask, attempt: Int, at now: Duration) {
        // Written down first: whoever looks after this sees it, and who looked before has unset the timer.
        task.startAttempt(attempt, at: now)
        let timeout = task.options.timeout.limit(standard: configuration.timeout)
        setLimit(now + min(timeout ?? configuration.slowThreshold, configuration.slowThreshold))
    }

    private func setLimit(_ limit: Duration) {
        limits.set(limit, on: clock) { [weak self] in self?.checkLimits() }
    }

    /// Looks at all attempts that run.
    private func checkLimits() {
        limits.fired()
        let now = clock.uptime
        let running = state.withLock { $0.runningTasks }
        var next: Duration?
        for task in running {
            let timeout = task.options.timeout.limit(standard: configuration.timeout)
            switch task.overrun(at: now, slow: configuration.slowThreshold, timeout: timeout) {
            case .none(let until): next = Self.earlier(next, until)
            case .slow(let until):
                next = Self.earlier(next, until)
                task.logger.warning("background task is slow", metadata: metadata(task))
            case .timedOut(let attempt): timedOut(task, attempt: attempt)
            }
        }
        if let next { setLimit(next) }
    }

    private static func earlier(_ one: Duration?, _ other: Duration?) -> Duration? {
        guard let one, let other else { return one ?? other }
        return min(one, other)
    }

    private func timedOut(_ task: BackgroundTask, attempt: Int) {
        let running: Task<Void, Never>? = state.withLock { state in
            state.isRunning(task.id) ? task.timeOut(attempt: attempt) : nil
        }
        if let running { cancelRunning(running, task, at: clock.uptime) }
    }
}
