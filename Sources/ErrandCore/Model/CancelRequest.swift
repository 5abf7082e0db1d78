// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A durable wish that a running job stop. Kept on the job until it is final, so that it survives the restart
/// of everything and is obeyed by whichever worker holds the job.
public struct CancelRequest: Sendable, Hashable, Codable {
    /// Who asked.
    public let actor: String
    /// Why; shown to the handler and kept with the job.
    public let reason: String
    /// When it was asked.
    public let at: Timestamp

    /// A request.
    public init(actor: String, reason: String, at: Timestamp) {
        self.actor = actor
        self.reason = reason
        self.at = at
    }
}
