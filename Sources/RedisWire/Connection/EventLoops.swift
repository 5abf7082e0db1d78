// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Synchronization

/// The one thread that reads and writes the connections of one client and its subscriptions.
///
/// Of its own, so that heartbeats do not wait behind whatever the application does on its event loops.
final class EventLoops: Sendable {
    private struct State {
        var attempts = 0
        var isClosed = false
    }

    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let state = Mutex(State())

    /// An attempt to connect begins, which ends with ``end()``; its thread lives at least as long.
    /// - Returns: False when it must not, because the thread is about to end.
    func begin() -> Bool {
        state.withLock { state in
            if !state.isClosed { state.attempts += 1 }
            return !state.isClosed
        }
    }

    func end() {
        let isLast = state.withLock { state in
            state.attempts -= 1
            return state.isClosed && state.attempts == 0
        }
        if isLast { shutDown() }
    }

    /// Ends the thread; while an attempt is under way, after that and without waiting for it.
    func close() async {
        guard markClosed() else { return }
        await withCheckedContinuation { continuation in
            group.shutdownGracefully { _ in continuation.resume() }
        }
    }

    // Dropped without a close.
    deinit {
        if markClosed() { shutDown() }
    }

    /// Whether the thread is to be ended now.
    private func markClosed() -> Bool {
        state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed && state.attempts == 0
        }
    }

    private func shutDown() {
        // The callback keeps the group until its thread has ended.
        let group = group
        group.shutdownGracefully { _ in _ = group }
    }
}
