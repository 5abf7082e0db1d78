// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Synchronization

/// Lets one through at a time, in the order of arrival.
///
/// Decisions that are written only if nothing changed meanwhile would otherwise undo each other's work when many of one
/// process are about the same job; with turns only other processes can be in the way.
final class TurnQueue: Sendable {
    private struct State {
        var isTaken = false
        var waiting: Deque<CheckedContinuation<Void, Never>> = []
    }

    private let state = Mutex(State())

    /// Waits for its turn, which ends with ``leave()``.
    func enter() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.isTaken {
                    state.waiting.append(continuation)
                    return false
                }
                state.isTaken = true
                return true
            }
            if isFree { continuation.resume() }
        }
    }

    func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            let next = state.waiting.popFirst()
            if next == nil { state.isTaken = false }
            return next
        }
        next?.resume()
    }
}
