// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The lines that a process of a fleet has said, and who waits for one of them.
final class FleetTalk: Sendable {
    private struct Waiter {
        /// `nil` waits for the end.
        var line: String?
        var continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var rest = ""
        var lines: Set<String> = []
        var isOver = false
        var nextTicket = 0
        var waiters: [Int: Waiter] = [:]
        /// Cancelled before they waited.
        var cancelled: Set<Int> = []

        mutating func take(_ isDue: (Waiter) -> Bool) -> [Waiter] {
            let due = waiters.filter { isDue($0.value) }
            for ticket in due.keys { waiters[ticket] = nil }
            return Array(due.values)
        }
    }

    private let state = Mutex(State())

    func hasSaid(_ line: String) -> Bool { state.withLock { $0.lines.contains(line) } }

    func heard(_ text: String) {
        let due = state.withLock { state in
            var lines = (state.rest + text).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            state.rest = lines.popLast() ?? ""
            state.lines.formUnion(lines)
            return state.take { $0.line.map(lines.contains) ?? false }
        }
        for waiter in due { waiter.continuation.resume(returning: true) }
    }

    func ended() {
        let due = state.withLock { state in
            state.isOver = true
            return state.take { _ in true }
        }
        for waiter in due { waiter.continuation.resume(returning: false) }
    }

    /// Waits for a line, or with `nil` for the end.
    /// - Returns: Whether the line was said; false at the end, and for a caller that was cancelled.
    func wait(for line: String?) async -> Bool {
        let ticket = state.withLock { state in
            state.nextTicket += 1
            return state.nextTicket
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Bool? = state.withLock { state in
                    if let line, state.lines.contains(line) { return true }
                    if state.isOver || state.cancelled.remove(ticket) != nil { return false }
                    state.waiters[ticket] = Waiter(line: line, continuation: continuation)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                let waiter = state.waiters.removeValue(forKey: ticket)
                if waiter == nil { state.cancelled.insert(ticket) }
                return waiter
            }
            waiter?.continuation.resume(returning: false)
        }
    }
}
