// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A background task seen from outside: to wait for it, cancel it, or let another one follow it.
public struct BackgroundTaskHandle: Sendable {
    let task: BackgroundTask
    let runner: BackgroundRunner

    /// Unique within the runner; `background.id` in logs.
    public var id: UInt64 { task.id }

    /// The name given to it, or the file and line that added it.
    public var name: String { task.name }

    /// How it ended; suspends until it has.
    ///
    /// Do not wait for it in the handler that added it: it starts only after the response.
    public var outcome: BackgroundTaskOutcome {
        get async { await task.outcome() }
    }

    /// Cancels it: one that has not started never will, one that runs sees its Swift task cancelled.
    ///
    /// Has no effect on one that has ended.
    public func cancel() { runner.cancel(task) }
}
