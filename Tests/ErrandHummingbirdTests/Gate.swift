// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

/// Suspends tasks until it is opened.
final class Gate: Sendable {
    private let stream = AsyncStream.makeStream(of: Void.self)

    func wait() async { for await _ in stream.stream {} }

    func open() { stream.continuation.finish() }
}

/// Holds threads, as code that blocks does, until it is opened.
final class ThreadGate: Sendable {
    private let condition = ThreadCondition()
    private let isOpen = Mutex(false)

    func wait() {
        condition.lock()
        while !isOpen.withLock({ $0 }) { condition.wait() }
        condition.unlock()
    }

    func open() {
        condition.lock()
        isOpen.withLock { $0 = true }
        condition.broadcast()
        condition.unlock()
    }
}
