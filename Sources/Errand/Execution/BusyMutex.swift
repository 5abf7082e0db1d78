// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// A lock around state that several threads want all the time: what every job passes on its way, and the background
/// runner.
///
/// Everywhere else `Mutex` is the right one. On Linux that hands a contended lock over to the thread that waits for it,
/// which is asleep, and until it has woken up all others queue behind it; with more threads than cores the queue never
/// ends. This one is free the moment it is given back, for whoever runs.
package final class BusyMutex<Value>: Sendable {
    // guard: `condition`'s lock; touched only in `withLock`.
    nonisolated(unsafe) private var value: Value
    private let condition = ThreadCondition()

    package init(_ value: sending Value) {
        self.value = value
    }

    /// Runs `body` with exclusive use of the value; keep it short, and do nothing in it that could come back here.
    package func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        condition.lock()
        defer { condition.unlock() }
        return try body(&value)
    }
}
