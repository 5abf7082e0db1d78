// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What can go wrong with background tasks as a whole.
///
/// What a task itself throws is never wrapped.
public struct BackgroundError: Error, Sendable, CustomStringConvertible {
    /// The kinds of trouble.
    public enum Code: String, Sendable, Hashable {
        /// ``BackgroundTasks/reserve(_:)`` found no room.
        case queueFull
        /// The runner is shutting down or has ended.
        case stopped
        /// A job given to `enqueue` could not be made or encoded; nothing of the request was stored.
        case invalidJob
        /// The staged jobs of a request could not be stored, or not within the time allowed.
        case notStored
        /// An attempt was cancelled because it took longer than its timeout.
        case timedOut
        /// The whole shutdown took longer than its one deadline.
        case shutdownDeadline
    }

    /// What kind it is.
    public let code: Code
    /// What happened and what to do, for a log.
    public let message: String
    /// What caused it, if it was another error.
    public let cause: (any Error)?

    init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// Code, message and cause in one line.
    public var description: String {
        "\(code.rawValue): \(message)" + (cause.map { " (\($0))" } ?? "")
    }
}
