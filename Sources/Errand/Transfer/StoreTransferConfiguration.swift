// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How a ``StoreTransfer`` works.
public struct StoreTransferConfiguration: Sendable, Hashable {
    /// A word for the destination, kept with every batch that is on its way: a batch that was left half-way is only
    /// given to a transfer with the same word. `nil`, the default, for the engine's own (`postgres`); give one when
    /// several stores of that engine could be meant.
    public var destinationName: String?
    /// The most jobs of a batch, 500 by default. All of them are in memory once, and in no store's lists for as long
    /// as the batch is on its way.
    public var batchLimit = 500
    /// About the most bytes of a batch, 4 MiB by default.
    public var byteLimit = 4 << 20
    /// How long one outage of either store is waited for, 1 minute by default.
    public var patience: Duration = .minutes(1)
    /// How often jobs that still run are looked at, 1 s by default.
    public var pollInterval: Duration = .seconds(1)

    /// The defaults.
    public init() {}
}
