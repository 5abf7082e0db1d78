// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Synchronization

/// The one thread that reads and writes the connections of one client and its subscriptions.
///
/// Of its own, so that heartbeats do not wait behind whatever the application does on its event loops.
final class EventLoops: Sendable {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let isClosed = Mutex(false)

    /// Ends the thread.
    func close() async {
        guard markClosed() else { return }
        await withCheckedContinuation { continuation in
            group.shutdownGracefully { _ in continuation.resume() }
        }
    }

    deinit {
        // Dropped without a close. The callback keeps the group until its thread has ended.
        guard markClosed() else { return }
        let group = group
        group.shutdownGracefully { _ in _ = group }
    }

    private func markClosed() -> Bool {
        isClosed.withLock { isClosed in
            defer { isClosed = true }
            return !isClosed
        }
    }
}
