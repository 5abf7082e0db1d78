// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization

/// Counts the beats of one worker and measures the longest time without one, from the clock's own thread.
final class BeatLog: Sendable {
    private struct State {
        var isOver = false
        var count = 0
        var since: Duration = .zero
        var longest: Duration = .zero
    }

    private let state = Mutex(State())
    private let clock = SystemClock.shared
    private let count: @Sendable () -> Int
    private let first: Int

    /// - Parameter count: How many beats were answered so far.
    init(count: @escaping @Sendable () -> Int) {
        self.count = count
        first = count()
        let now = clock.uptime
        state.withLock { ($0.count, $0.since) = (first, now) }
        look()
    }

    /// The beats since this was made, and the longest time without one, the last one included.
    func stop() -> (beats: Int, longestSilence: Duration) {
        see()
        return state.withLock { state in
            state.isOver = true
            return (state.count - first, max(state.longest, clock.uptime - state.since))
        }
    }

    private func look() {
        clock.schedule(after: .milliseconds(5)) { [weak self] in
            guard let self else { return }
            see()
            if !state.withLock({ $0.isOver }) { look() }
        }
    }

    private func see() {
        let (count, now) = (count(), clock.uptime)
        state.withLock { state in
            guard count != state.count else { return }
            state.longest = max(state.longest, now - state.since)
            (state.count, state.since) = (count, now)
        }
    }
}
