// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How a background task ended.
public enum BackgroundTaskOutcome: Sendable {
    /// It returned.
    case succeeded
    /// Its last attempt threw this.
    case failed(any Error)
    /// It was cancelled through its handle, or by the end of the shutdown's budget.
    case cancelled
    /// The task it was to run `after` did not succeed.
    case skipped
    /// It never ran, for this reason.
    case dropped(BackgroundDropReason)
    /// It was cancelled but had not ended when the grace was over; it may still be running.
    case abandoned

    /// Whether it is ``succeeded``.
    public var isSuccess: Bool {
        if case .succeeded = self { true } else { false }
    }

    /// The word that logs and metrics use.
    package var label: String {
        switch self {
        case .succeeded: "succeeded"
        case .failed: "failed"
        case .cancelled: "cancelled"
        case .skipped: "skipped"
        case .dropped: "dropped"
        case .abandoned: "abandoned"
        }
    }
}

/// Why a background task never ran.
public enum BackgroundDropReason: String, Sendable, Hashable {
    /// Its `when:` did not hold for the response.
    case condition
    /// The queue was full and the overflow policy is ``BackgroundOverflow/shed``, or there was no connection
    /// to hold.
    case queueFull
    /// The runner is shutting down.
    case shutdown
    /// The runner's mode is ``BackgroundRunner/Mode/discard``.
    case discarded
}

/// One background task that has ended, as tests and the failure hook see it.
public struct BackgroundTaskReport: Sendable {
    /// Unique within the runner.
    public let id: UInt64
    /// The name given to it, or the file and line that added it.
    public let name: String
    /// Of the request that added it, if one did.
    public let requestID: String?
    /// How many attempts were begun.
    public let attempts: Int
    /// How it ended.
    public let outcome: BackgroundTaskOutcome
}
