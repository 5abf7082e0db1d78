// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

extension BackgroundRunner {
    /// What has ended, oldest first, the first 10,000.
    ///
    /// Empty in mode ``Mode/live``.
    public var finished: [BackgroundTaskReport] { state.withLock { $0.finished } }

    /// What has ended with an error.
    ///
    /// Empty in mode ``Mode/live``.
    public var failures: [BackgroundTaskReport] {
        finished.filter { if case .failed = $0.outcome { true } else { false } }
    }

    /// The names of the tasks that wait for ``runPending()``, in mode ``Mode/manual``.
    public var pending: [String] { state.withLock { $0.pending.map(\.name) } }

    /// Runs what is pending, in order, also what that adds.
    ///
    /// For mode ``Mode/manual``.
    /// - Returns: How many tasks were run.
    @discardableResult
    public func runPending() async -> Int {
        var count = 0
        while let task = state.withLock({ $0.pending.isEmpty ? nil : $0.pending.removeFirst() }) {
            count += 1
            await runInline([task])
        }
        return count
    }
}
