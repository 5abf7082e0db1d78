// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// A clock whose timers need a turn on Swift's shared pool, as code has that sleeps with `Task.sleep` there.
struct SharedPoolClock: ErrandClock {
    private let clock = SystemClock.shared

    var now: Timestamp { clock.now }
    var uptime: Duration { clock.uptime }

    func schedule(after delay: Duration, _ action: @escaping @Sendable () -> Void) -> ClockTimer {
        clock.schedule(after: delay) { Task.detached { action() } }
    }
}
