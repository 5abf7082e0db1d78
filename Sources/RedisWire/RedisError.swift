// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What went wrong between a client and its server. ``Code/notSent`` and ``Code/outcomeUnknown`` are different: only after
/// the second may the command have been carried out.
public struct RedisError: Error, Sendable, Hashable {
    /// The kind of trouble.
    public enum Code: String, Sendable, Hashable, CaseIterable {
        /// It did not reach the server; nothing happened. Safe to repeat.
        case notSent
        /// The server answered with an error; ``RedisError/word`` says which.
        case refused
        /// It was sent and no answer came: it may have been carried out.
        case outcomeUnknown
        /// The client was closed.
        case closed
    }

    /// The kind of trouble.
    public let code: Code
    /// What happened, as a sentence.
    public let message: String
    /// The first word of the server's own error: `ERR`, `NOSCRIPT`, `WRONGPASS`, `LOADING`; also kept when it was the
    /// answer to a greeting and the command was therefore not sent.
    public let word: String?

    /// An error.
    public init(_ code: Code, _ message: String, word: String? = nil) {
        self.code = code
        self.message = message
        self.word = word
    }

    /// The error that a server answered.
    init(answer: String) {
        self.init(.refused, answer, word: answer.split(separator: " ", maxSplits: 1).first.map(String.init))
    }

    /// The same trouble for a command that had not been sent when it came.
    var unsent: RedisError {
        code == .closed ? self : RedisError(.notSent, message, word: word)
    }

    /// The same trouble for a command that waits for its answer.
    var unanswered: RedisError {
        RedisError(.outcomeUnknown, message, word: word)
    }
}

extension RedisError: CustomStringConvertible {
    public var description: String { "\(code.rawValue): \(message)" }
}
