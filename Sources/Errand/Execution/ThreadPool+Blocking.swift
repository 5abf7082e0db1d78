// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

extension ThreadPool {
    /// Runs a synchronous `body`, which may block, on one of the threads and suspends until it has ended.
    ///
    /// Cancelling the caller takes the work out of the line when no thread has begun it; work that runs
    /// cannot be cancelled and is waited for.
    /// - Parameters:
    ///   - body: What to run.
    ///   - onStart: Called on the thread just before `body`, with the time it waited in the line.
    /// - Returns: What `body` returned.
    /// - Throws: What `body` threw; `CancellationError` when it was cancelled in the line or the pool is stopped.
    package func runBlocking<T: Sendable>(
        _ body: @escaping @Sendable () throws -> T,
        onStart: (@Sendable (Duration) -> Void)? = nil
    ) async throws -> T {
        let call = BlockingCall(body)
        let clock = clock
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                guard call.wait(with: continuation) else { return }
                let submitted = clock.uptime
                let isAccepted = submit {
                    call.run { onStart?(clock.uptime - submitted) }
                }
                if !isAccepted { call.cancel() }
            }
        } onCancel: {
            call.cancel()
        }
    }
}

/// One call of `runBlocking`: it is run or cancelled, whichever comes first, and answers once.
private final class BlockingCall<T: Sendable>: Sendable {
    private enum State {
        /// Made; nobody waits yet. Leaves to `waiting` or `over`.
        case idle(@Sendable () throws -> T)
        /// In the line. Leaves to `over` when a thread takes it or it is cancelled.
        case waiting(@Sendable () throws -> T, CheckedContinuation<T, any Error>)
        /// Taken, cancelled or answered.
        case over
    }

    private let state: Mutex<State>

    init(_ body: @escaping @Sendable () throws -> T) {
        state = Mutex(.idle(body))
    }

    /// Whether the call is to be put in the line; when it was cancelled before, the continuation has been
    /// resumed.
    func wait(with continuation: CheckedContinuation<T, any Error>) -> Bool {
        let isWaiting = state.withLock { state in
            guard case .idle(let body) = state else { return false }
            state = .waiting(body, continuation)
            return true
        }
        if !isWaiting { continuation.resume(throwing: CancellationError()) }
        return isWaiting
    }

    func run(onStart: () -> Void) {
        guard case .waiting(let body, let continuation) = take() else { return }
        onStart()
        continuation.resume(with: Result { try body() })
    }

    func cancel() {
        guard case .waiting(_, let continuation) = take() else { return }
        continuation.resume(throwing: CancellationError())
    }

    private func take() -> State {
        state.withLock { state in
            defer { state = .over }
            return state
        }
    }
}
