// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

/// Counts the calls under way, so that a store closes after the last of them and lets no more in.
final class Doorkeeper: Sendable {
    private struct State {
        var calls = 0
        var isClosing = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    var isClosing: Bool { state.withLock { $0.isClosing } }

    func enter() throws(StoreError) {
        let isOpen = state.withLock { state in
            if !state.isClosing { state.calls += 1 }
            return !state.isClosing
        }
        if !isOpen { throw StoreError.storeClosed }
    }

    func leave() {
        let ready = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.calls -= 1
            guard state.calls == 0 else { return [] }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in ready { waiter.resume() }
    }

    /// Lets nobody in any more and waits until all have left.
    /// - Returns: Whether this was the first to close.
    func close() async -> Bool {
        let isFirst = state.withLock { state in
            defer { state.isClosing = true }
            return !state.isClosing
        }
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                if state.calls > 0 { state.waiters.append(continuation) }
                return state.calls == 0
            }
            if isEmpty { continuation.resume() }
        }
        return isFirst
    }
}
