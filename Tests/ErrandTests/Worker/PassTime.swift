// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

extension ManualClock {
    /// Moves from timer to timer for this long, each time when a worker's beats, maintenance and fence, which always
    /// sleep, sleep again.
    func pass(_ duration: Duration) async {
        let end = uptime + duration
        while uptime < end {
            await waitForTimers(atLeast: 3)
            advance(by: min(await nextTimer(), end - uptime))
        }
    }

    /// The same until something holds, at most a thousand timers.
    func pass(until holds: () async throws -> Bool) async throws {
        for _ in 0..<1000 {
            if try await holds() { return }
            await waitForTimers(atLeast: 3)
            advance(by: await nextTimer())
        }
        Issue.record("a thousand timers were not enough")
    }
}
