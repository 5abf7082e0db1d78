// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// One task waits, anybody wakes it.
///
/// A wake-up while nobody waits is kept for the next wait, so none is lost between looking and waiting.
final class WakeUp: Sendable {
    private enum State {
        case idle
        case signalled
        case waiting(CheckedContinuation<Void, Never>)
    }

    private let state = Mutex<State>(.idle)

    /// Wakes the waiter, or lets the next wait return at once.
    func signal() {
        let continuation: CheckedContinuation<Void, Never>? = state.withLock { state in
            if case .waiting(let continuation) = state {
                state = .idle
                return continuation
            }
            state = .signalled
            return nil
        }
        continuation?.resume()
    }

    /// Waits for a signal, for `timeout` on this clock, or for the cancellation of the task, whichever is first.
    func wait(upTo timeout: Duration?, on clock: any ErrandClock) async {
        let timer = timeout.map { clock.schedule(after: $0) { [self] in signal() } }
        defer { timer?.cancel() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let mustResume = state.withLock { state in
                    if case .signalled = state {
                        state = .idle
                        return true
                    }
                    state = .waiting(continuation)
                    return false
                }
                if mustResume { continuation.resume() }
            }
        } onCancel: {
            signal()
        }
    }
}
