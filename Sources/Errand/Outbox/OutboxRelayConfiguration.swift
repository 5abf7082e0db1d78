// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How an ``OutboxRelay`` works.
public struct OutboxRelayConfiguration: Sendable, Hashable {
    /// The most jobs of one write, 500 by default.
    public var batchLimit = 500
    /// How often it looks by itself, 1 s by default. What this process adds it hears of at once; this is how long a row
    /// may lie that another process wrote.
    public var pollInterval: Duration = .seconds(1)
    /// The longest wait between two tries while the store or the outbox is away, 5 s by default; the first is 100 ms.
    public var longestWait: Duration = .seconds(5)

    /// The defaults.
    public init() {}
}
