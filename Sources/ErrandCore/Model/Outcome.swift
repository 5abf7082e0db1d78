// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How an attempt ended, as the worker tells the store. Success, retry, snooze, shutdown and cancellation are
/// all outcomes on one road.
public enum Outcome: Sendable, Hashable {
    /// The handler returned; the result, if its type has one and it is kept.
    case succeeded(result: Payload?)
    /// Counted failure; try again after this long.
    case retry(after: Duration, error: StoredError, timedOut: Bool)
    /// Final failure.
    case failed(FailureReason, error: StoredError, timedOut: Bool)
    /// Not counted; run again after this long.
    case snoozed(Duration)
    /// Not counted; ready again at once, at the front of its priority. Used at shutdown.
    case released
    /// The handler stopped because the job was cancelled, or ended it that way itself.
    case cancelled(reason: String)
    /// Cancelled or timed out, but the handler did not stop within the grace; its late result is refused.
    case abandoned(reason: String)
    /// The payload could not be decoded: `failed(undecodable)`, no attempt used.
    case undecodable(StoredError)
}
