// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Decides which lane has held its thread for too long.
///
/// It sees only who holds which thread and a number that changes with each piece of work. The same number in
/// two looks is one uninterrupted stretch, as long as the time between the looks at least.
package struct BlockingWatchStateMachine: Sendable {
    /// One thread that is held, at one look.
    package struct Sample: Sendable {
        package let thread: Int
        /// Differs from the thread's last sample when another piece of work has begun since.
        package let stretch: UInt64
        package let lane: String

        package init(thread: Int, stretch: UInt64, lane: String) {
            self.thread = thread
            self.stretch = stretch
            self.lane = lane
        }
    }

    /// A lane that held its thread for `held` or longer.
    package struct Report: Sendable, Equatable {
        package let lane: String
        package let held: Duration
    }

    private struct Seen {
        let stretch: UInt64
        let since: Duration
        var isReported: Bool
    }

    private let threshold: Duration
    private var seen: [Int: Seen] = [:]

    package init(threshold: Duration) {
        self.threshold = threshold
    }

    /// Takes one look and answers what is to be reported: each stretch once.
    package mutating func observe(_ samples: [Sample], at now: Duration) -> [Report] {
        var reports: [Report] = []
        var still: [Int: Seen] = [:]
        for sample in samples {
            var stretch = Seen(stretch: sample.stretch, since: now, isReported: false)
            if let before = seen[sample.thread], before.stretch == sample.stretch { stretch = before }
            if !stretch.isReported && now - stretch.since >= threshold {
                stretch.isReported = true
                reports.append(Report(lane: sample.lane, held: now - stretch.since))
            }
            still[sample.thread] = stretch
        }
        seen = still
        return reports
    }
}
