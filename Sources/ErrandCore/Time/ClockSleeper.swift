// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// One suspended `sleep`: woken once, by its timer or by cancellation, whichever comes first.
final class ClockSleeper: Sendable {
    private enum State {
        /// Made, nobody waits yet. Leaves to `waiting` or `woken`.
        case idle
        /// A task is suspended. Leaves to `woken`.
        case waiting(CheckedContinuation<Void, any Error>)
        /// Final.
        case woken(cancelled: Bool)
    }

    private let state = Mutex<State>(.idle)

    func wait() async throws {
        try await withCheckedThrowingContinuation { continuation in
            let woken: Bool? = state.withLock { state in
                if case .woken(let cancelled) = state { return cancelled }
                state = .waiting(continuation)
                return nil
            }
            if let cancelled = woken { resume(continuation, cancelled: cancelled) }
        }
    }

    func wake(cancelled: Bool) {
        let continuation: CheckedContinuation<Void, any Error>? = state.withLock { state in
            defer { if case .woken = state {} else { state = .woken(cancelled: cancelled) } }
            if case .waiting(let continuation) = state { return continuation }
            return nil
        }
        if let continuation { resume(continuation, cancelled: cancelled) }
    }

    private func resume(_ continuation: CheckedContinuation<Void, any Error>, cancelled: Bool) {
        if cancelled {
            continuation.resume(throwing: CancellationError())
        } else {
            continuation.resume()
        }
    }
}
