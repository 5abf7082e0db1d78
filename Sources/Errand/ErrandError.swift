// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Misuse of the runtime, or a wait that ended without an answer. Trouble of a store is a ``/ErrandCore/StoreError``.
public struct ErrandError: Error, Sendable, Hashable {
    /// The kind of trouble; two errors with the same code are the same kind.
    public struct Code: Sendable, Hashable, RawRepresentable {
        /// The word for it.
        public let rawValue: String

        /// A code by its word.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The job cannot be enqueued as it is; nothing was stored.
        public static let invalidJob = Code(rawValue: "invalidJob")
        /// A wait ran into its limit; the job goes on.
        public static let timedOut = Code(rawValue: "timedOut")
        /// The job is not in the store (any more).
        public static let jobNotFound = Code(rawValue: "jobNotFound")
        /// The job succeeded, but its result is not kept (any more).
        public static let resultGone = Code(rawValue: "resultGone")
        /// What a handler returned is too large to be kept; trying again is no use.
        public static let resultTooLarge = Code(rawValue: "resultTooLarge")
        /// The attempt no longer holds its lease; stop working.
        public static let leaseLost = Code(rawValue: "leaseLost")
        /// The schedule cannot be stored or changed as asked; nothing was.
        public static let invalidSchedule = Code(rawValue: "invalidSchedule")
        /// There is no schedule of this name.
        public static let scheduleNotFound = Code(rawValue: "scheduleNotFound")
        /// The schedule is not as the caller takes it to be: another revision, or the program's own.
        public static let scheduleConflict = Code(rawValue: "scheduleConflict")
        /// A setting makes no sense; the message names it.
        public static let invalidConfiguration = Code(rawValue: "invalidConfiguration")
    }

    /// The kind of trouble.
    public let code: Code
    /// One sentence that says what to do next.
    public let message: String

    /// An error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

extension ErrandError: RetryHint {
    /// Never for a result that is too large, else as the policy says.
    public var retryAdvice: RetryAdvice { code == .resultTooLarge ? .never : .policy }
}

extension ErrandError: CustomStringConvertible {
    public var description: String { "\(code.rawValue): \(message)" }
}
