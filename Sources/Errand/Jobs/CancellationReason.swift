// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Why a handler is being cancelled, for handlers that want to know more than `Task.isCancelled`.
public enum CancellationReason: Sendable, Hashable {
    /// The worker shuts down; the attempt will be given back.
    case shutdown
    /// Somebody cancelled the job.
    case cancelled(by: String, reason: String)
    /// The attempt ran longer than its timeout.
    case timeout
    /// Another worker holds the job, or may, because this one could not reach the store for too long. What the
    /// attempt comes to is written only if its lease still holds.
    case leaseLost

    init(_ cause: StopCause) {
        switch cause {
        case .shutdown: self = .shutdown
        case .cancelled(let request): self = .cancelled(by: request.actor, reason: request.reason)
        case .timeout: self = .timeout
        case .leaseLost, .fenced: self = .leaseLost
        }
    }
}
