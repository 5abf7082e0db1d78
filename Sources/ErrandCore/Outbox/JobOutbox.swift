// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Jobs that were promised somewhere else than in the store, and are on their way to it: a table in the application's
/// own database, or a local file.
///
/// For stores that cannot join the application's transactions, and for enqueues that must not depend on the store
/// being there. An `OutboxRelay` reads entries in their order, stores their jobs, and removes them. A job is stored
/// once however often its entry is read, because its id is in the entry.
public protocol JobOutbox: Sendable {
    /// Publishes ``StoreSignal/work(_:)`` when something was added by this process; a relay waits for it, and looks from
    /// time to time by itself for what others added.
    var hub: LocalHub { get }

    /// Adds jobs at the end, all or none, and returns when they are durable. A job whose id is there is left alone.
    /// - Throws: ``StoreError`` with code ``StoreError/Code/full`` when the outbox has reached its bound.
    func add(_ jobs: [NewJob]) async throws

    /// The oldest entries, oldest first, at most `limit`.
    func oldest(limit: Int) async throws -> [OutboxEntry]

    /// Removes entries whose jobs are stored. Removing one that is gone is harmless.
    func remove(_ entries: [OutboxEntry]) async throws

    /// Sets an entry aside that will never be stored, with the reason, for people to look at; ``oldest(limit:)`` does
    /// not give it again.
    func refuse(_ entry: OutboxEntry, because reason: StoreError) async throws

    /// How many entries wait, and how many were refused.
    func count() async throws -> (waiting: Int, refused: Int)
}

/// One job in an outbox.
public struct OutboxEntry: Sendable, Hashable {
    /// Its place; larger is later.
    public var number: Int64
    /// The job, or why what is written there is no job.
    public var job: Result<NewJob, StoreError>
    /// When it was added.
    public var addedAt: Timestamp

    /// An entry.
    public init(number: Int64, job: Result<NewJob, StoreError>, addedAt: Timestamp) {
        self.number = number
        self.job = job
        self.addedAt = addedAt
    }

    /// The job as it is to be stored at `now`: what counts from the enqueue counts from when it was added, not from
    /// when a store is at last there to take it.
    public func job(storedAt now: Timestamp) throws(StoreError) -> NewJob {
        var job = try job.get()
        let waited = max(now - addedAt, .zero)
        if case .after(let delay) = job.start { job.start = delay > waited ? .after(delay - waited) : .now }
        // One that is too late by now is stored all the same, and then is expired where people look.
        let least = Duration.microseconds(1)
        job.startWithin = job.startWithin.map { max($0 - waited, least) }
        job.deadline = job.deadline.map { max($0 - waited, least) }
        return job
    }
}
