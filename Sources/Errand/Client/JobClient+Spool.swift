// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Where an enqueue becomes durable before it returns.
public enum EnqueueDurability: Sendable, Hashable {
    /// In the store; the enqueue fails while the store is away for longer than ``JobClientConfiguration/retryFor``.
    case store
    /// In the client's spool, a file on the local disk; an ``OutboxRelay`` carries the job to the store. The enqueue
    /// needs no network and survives an outage of the store, and this process too; not the loss of the machine's disk.
    case spool
}

extension JobClient {
    /// Stores a job and returns once it is durable in the place that is named.
    ///
    /// With `.spool` nobody has asked the store yet: a unique key that is taken, or a conflict that is to be refused,
    /// shows when the job gets there, and the job cannot be found in the store before. Delays and limits count from now.
    /// - Returns: A handle; with `.spool` its ``JobHandle/kind`` is `nil`.
    /// - Throws: As ``enqueue(_:options:)``; with `.spool` ``ErrandError`` with code `invalidConfiguration` when the client
    ///   has no spool, and ``/ErrandCore/StoreError`` with code `full` when it has reached its bound or the disk its end.
    @discardableResult
    public func enqueue<J: Job>(
        _ job: J,
        durably durability: EnqueueDurability,
        options: EnqueueOptions = EnqueueOptions()
    ) async throws -> JobHandle<J> {
        guard durability == .spool else { return try await enqueue(job, options: options) }
        guard let spooler else {
            throw ErrandError(
                .invalidConfiguration,
                "the client has no spool; give it one: JobClient(store: store, spool: try SQLiteOutbox(path: …))"
            )
        }
        let new = try prepare(job, options: options)
        _ = try await spooler.submit([new])
        return JobHandle(id: new.id, client: self)
    }
}
