// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How a client writes and waits.
public struct JobClientConfiguration: Sendable {
    /// The largest encoded payload, in bytes; 1 MiB. Larger ones are refused before anything is stored.
    public var payloadLimit = Payload.defaultLimit
    /// The most jobs of one write; 1,000. More callers or larger calls make several writes.
    public var batchLimit = 1000
    /// How long an enqueue is tried again while the store is unavailable or its answer was lost; 5 s. The id
    /// stays the same, so the job cannot be stored twice. Zero fails at once.
    public var retryFor: Duration = .seconds(5)
    /// How often a waiting caller looks although no signal came; 1 s.
    public var pollInterval: Duration = .seconds(1)
    /// Who operators' changes through this client are attributed to, unless a call says otherwise; `application`.
    public var actor = "application"

    /// The defaults.
    public init() {}
}
