// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

/// Suspends tasks until it is opened.
package final class Gate: Sendable {
    private let stream = AsyncStream.makeStream(of: Void.self)

    package init() {}

    /// Returns at once when the gate is open; for one task at a time.
    package func wait() async { for await _ in stream.stream {} }

    package func open() { stream.continuation.finish() }
}

/// Holds threads, as code that blocks does, until it is opened.
package final class ThreadGate: Sendable {
    private let condition = ThreadCondition()
    private let isOpen = Mutex(false)
    private let entered = Gate()

    package init() {}

    /// Blocks the calling thread; what a test of blocking work does.
    package func wait() {
        entered.open()
        condition.lock()
        while !isOpen.withLock({ $0 }) { condition.wait() }
        condition.unlock()
    }

    /// Returns once a thread is held.
    package func waitUntilHeld() async { await entered.wait() }

    package func open() {
        condition.lock()
        isOpen.withLock { $0 = true }
        condition.broadcast()
        condition.unlock()
    }
}
