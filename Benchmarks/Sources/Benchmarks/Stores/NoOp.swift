// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Synchronization

/// A job that does nothing: what is measured is the cost of having jobs.
struct NoOp: Job {
    static let name: JobName = "no-op"
    let number: Int
}

/// Counts handled jobs and tells when a number of them is reached. A figure counts only if every handler ran.
final class Tally: Sendable {
    private let count = Atomic<Int>(0)
    private let goal: Int
    private let reached = Mutex<(at: Duration?, waiter: CheckedContinuation<Duration, Never>?)>((nil, nil))

    init(goal: Int) {
        self.goal = goal
    }

    var handled: Int { count.load(ordering: .relaxed) }

    /// Handlers that count here.
    var handlers: JobHandlers {
        var handlers = JobHandlers()
        handlers.add(NoOp.self) { _, _ in self.add() }
        return handlers
    }

    /// One more was handled.
    func add() {
        guard count.add(1, ordering: .relaxed).newValue == goal else { return }
        let now = SystemClock.shared.uptime
        let waiter = reached.withLock { reached in
            reached.at = now
            return reached.waiter
        }
        waiter?.resume(returning: now)
    }

    /// When the last one ran.
    func wait() async -> Duration {
        await withCheckedContinuation { continuation in
            let at = reached.withLock { reached in
                if reached.at == nil { reached.waiter = continuation }
                return reached.at
            }
            if let at { continuation.resume(returning: at) }
        }
    }
}

/// A figure that would not mean what its name says.
struct VoidFigure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
