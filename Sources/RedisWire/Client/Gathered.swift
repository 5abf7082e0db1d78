// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The answers of several commands, handed on when the last is there.
final class Gathered: Sendable {
    private struct State {
        var answers: [RedisClient.Answer?]
        var missing: Int
    }

    private let state: Mutex<State>
    private let whenDone: @Sendable ([RedisClient.Answer]) -> Void

    init(count: Int, _ whenDone: @escaping @Sendable ([RedisClient.Answer]) -> Void) {
        state = Mutex(State(answers: Array(repeating: nil, count: count), missing: count))
        self.whenDone = whenDone
    }

    func put(_ answer: RedisClient.Answer, at index: Int) {
        let answers = state.withLock { state -> [RedisClient.Answer]? in
            state.answers[index] = answer
            state.missing -= 1
            return state.missing == 0 ? state.answers.compactMap(\.self) : nil
        }
        if let answers { whenDone(answers) }
    }
}
