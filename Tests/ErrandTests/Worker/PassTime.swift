// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

extension ManualClock {
    /// Moves from timer to timer for this long, each time when so many timers wait again.
    ///
    /// Three are a worker's beats, maintenance and fence, which always sleep in the end; four those and its claims,
    /// which have no timer while there is no room or no trust.
    func pass(_ duration: Duration, timers: Int = 3) async {
        let end = uptime + duration
        while uptime < end {
            await waitForTimers(atLeast: timers)
            advance(by: min(await nextTimer(), end - uptime))
        }
        await waitForTimers(atLeast: timers)
    }

    /// The same until something holds, at most a thousand timers.
    func pass(timers: Int = 3, until holds: () async throws -> Bool) async throws {
        for _ in 0..<1000 {
            if try await holds() { return }
            await waitForTimers(atLeast: timers)
            advance(by: await nextTimer())
        }
        Issue.record("a thousand timers were not enough")
    }
}
