// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A value a handler throws to say how its attempt ends, where returning or failing says too little.
///
/// ```swift
/// guard await isOpen() else { throw JobControl.snooze(for: .minutes(10)) }
/// ```
public enum JobControl: Error, Sendable, Hashable {
    /// Run again after this long. The attempt is given back: it counts neither as an attempt nor as a failure.
    case snooze(for: Duration)
    /// A counted failure, tried again after this long instead of the policy's wait.
    case retry(after: Duration, reason: String = "the handler asked for a retry")
    /// `failed(permanent)` now.
    case fail(reason: String)
    /// `cancelled` now.
    case cancel(reason: String)

    /// The same for the decision at the end of the attempt.
    var steering: AttemptEnd.Steering {
        switch self {
        case .snooze(let wait): .snooze(wait)
        case .retry(let wait, let reason): .retry(after: wait, StoredError(type: "JobControl.retry", message: reason))
        case .fail(let reason): .fail(StoredError(type: "JobControl.fail", message: reason))
        case .cancel(let reason): .cancel(reason)
        }
    }
}

/// An error that knows whether trying again makes sense and when; an HTTP client's 429 with Retry-After.
public protocol RetryHint: Error {
    /// What to do about the job that threw it.
    var retryAdvice: RetryAdvice { get }
}

/// An error that carries where it happened; the text is kept with the attempt.
public protocol BacktraceCarrying: Error {
    /// The backtrace as text.
    var backtrace: String { get }
}

extension StoredError {
    /// The error as it is written down.
    public init(_ error: any Error) {
        self.init(
            type: String(reflecting: Swift.type(of: error)),
            message: String(describing: error),
            backtrace: (error as? any BacktraceCarrying)?.backtrace
        )
    }
}
