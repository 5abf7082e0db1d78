// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What went wrong in a store. "Refused" and "outcome unknown" are different: after ``Code/outcomeUnknown`` the
/// write may have happened, and only calls that are safe to repeat may be repeated.
public struct StoreError: Error, Sendable, Hashable {
    /// The kind of trouble.
    public enum Code: String, Sendable, Hashable, CaseIterable {
        /// The input cannot be stored; nothing was written.
        case invalid
        /// A unique key is taken and the rule was to refuse; nothing was written.
        case conflict
        /// What was named is not there.
        case notFound
        /// The store cannot be reached or is busy; nothing was written. Safe to repeat.
        case unavailable
        /// The answer was lost; the write may or may not have happened.
        case outcomeUnknown
        /// The disk or quota is full; nothing was written.
        case full
        /// The schema is newer than this build, or was not migrated.
        case incompatible
        /// The store cannot do this; ``StoreDescription`` said so.
        case unsupported
        /// Stored data does not have the shape this build writes.
        case corrupt
        /// The store was closed.
        case closed
    }

    /// The kind of trouble.
    public let code: Code
    /// One sentence that says what to do next.
    public let message: String
    /// What the engine said, as text.
    public let cause: String?

    /// An error.
    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause.map { String(describing: $0) }
    }

    /// Whether waiting and asking again may help.
    public var isTransient: Bool {
        code == .unavailable || code == .outcomeUnknown || code == .full
    }
}

extension StoreError: CustomStringConvertible {
    public var description: String {
        cause.map { "\(code.rawValue): \(message) (\($0))" } ?? "\(code.rawValue): \(message)"
    }
}
