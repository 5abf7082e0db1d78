// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A job set aside by an operator: it is neither claimed nor promoted until released, and keeps its state,
/// run time, priority and attempts.
public struct Hold: Sendable, Hashable, Codable {
    /// Who set it aside.
    public let actor: String
    /// Why.
    public let reason: String
    /// When it was set aside.
    public let since: Timestamp
    /// When it is released by itself; `nil` for never.
    public let until: Timestamp?

    /// A hold.
    public init(actor: String, reason: String, since: Timestamp, until: Timestamp? = nil) {
        self.actor = actor
        self.reason = reason
        self.since = since
        self.until = until
    }
}
