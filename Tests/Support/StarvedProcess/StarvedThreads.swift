// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Foundation
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Keeps every thread of Swift's shared pool spinning, and counts who got a turn all the same.
final class StarvedThreads: Sendable {
    private let isOver = Atomic(false)
    private let spinning = Atomic(0)
    private let turnsTaken = Atomic(0)
    private let tasksWaiting = Atomic(0)
    // Each has threads of its own.
    private static let priorities: [TaskPriority] = [.background, .utility, .medium, .high]

    private let isPolite: Bool

    init(isPolite: Bool) { self.isPolite = isPolite }

    /// Threads that spin.
    var threads: Int { spinning.load(ordering: .relaxed) }
    /// Tasks behind them that ran although all threads spin.
    var turns: Int { turnsTaken.load(ordering: .relaxed) }
    /// Tasks behind them.
    var waiting: Int { tasksWaiting.load(ordering: .relaxed) }

    /// Returns when no thread is left.
    func start(_ clock: some ErrandClock) async throws {
        for priority in Self.priorities {
            for _ in 0..<(4 * ProcessInfo.processInfo.activeProcessorCount) {
                Task.detached(priority: priority) { self.spin() }
            }
        }
        // When no further thread has begun to spin for a while, all do.
        var (seen, quiet) = (0, 0)
        while quiet < 20 {
            try await clock.sleep(for: .milliseconds(10))
            quiet = threads == seen && seen > 0 ? quiet + 1 : 0
            seen = threads
        }
        for priority in Self.priorities {
            tasksWaiting.add(1, ordering: .relaxed)
            Task.detached(priority: priority) { _ = self.turnsTaken.add(1, ordering: .relaxed) }
        }
    }

    /// Lets go of the threads.
    func stop() { isOver.store(true, ordering: .relaxed) }

    private func spin() {
        #if os(Linux)
        // This thread alone: other processes on the machine, which are not the drill, go first.
        if isPolite { _ = nice(19) }
        #endif
        spinning.add(1, ordering: .relaxed)
        while !isOver.load(ordering: .relaxed) {}
    }
}
