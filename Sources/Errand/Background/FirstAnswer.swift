// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The first of several answers, for one who waits: whoever comes later is not heard.
final class FirstAnswer<Answer: Sendable>: Sendable {
    private enum State {
        case open
        case waiting(CheckedContinuation<Answer, Never>)
        case given(Answer)
    }

    private let state = Mutex<State>(.open)

    func give(_ answer: Answer) {
        let waiter: CheckedContinuation<Answer, Never>? = state.withLock { state in
            switch state {
            case .given: return nil
            case .open:
                state = .given(answer)
                return nil
            case .waiting(let continuation):
                state = .given(answer)
                return continuation
            }
        }
        waiter?.resume(returning: answer)
    }

    /// For one who waits, once.
    func wait() async -> Answer {
        await withCheckedContinuation { continuation in
            let known: Answer? = state.withLock { state in
                if case .given(let answer) = state { return .some(answer) }
                state = .waiting(continuation)
                return nil
            }
            if let known { continuation.resume(returning: known) }
        }
    }
}
