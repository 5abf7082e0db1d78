// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

/// Jobs on their way to another store, in a table of the application's PostgreSQL: a job exists exactly if the transaction
/// does that added it, also when the jobs live in Redis. An `OutboxRelay` carries them over.
///
/// Jobs that live in the same database need none of this: enqueue them in the transaction, with
/// `jobs.enqueue(_:in: transaction)` or the SQL function `errand.enqueue`.
///
/// The tables are `errand_outbox` and `errand_outbox_refused`, in the first schema of the connection's `search_path`;
/// they are made by the first connection when they are not there.
public final class PostgresOutbox: JobOutbox {
    public let hub = LocalHub()
    let clock: any ErrandClock
    /// The most entries that wait.
    let bound: Int
    private let pool: PostgresPool

    /// The most entries that wait, unless another bound is given: 100,000.
    public static let defaultLimit = 100_000

    /// An outbox in this database. Nothing is connected before the first call; two connections at most are kept.
    /// - Parameters:
    ///   - url: What libpq takes, as for ``PostgresStore``.
    ///   - limit: The most entries that wait; ``add(_:)`` refuses more with the code `full`.
    ///   - clock: Dates the entries that this process adds.
    /// - Throws: ``/ErrandCore/StoreError`` with code `invalid` for an address that cannot be read.
    public init(
        url: String,
        limit: Int = PostgresOutbox.defaultLimit,
        clock: any ErrandClock = SystemClock.shared
    ) throws {
        if let problem = PostgresLink.problem(with: url) { throw StoreError(.invalid, problem) }
        let configuration = PostgresConfiguration()
        (bound, self.clock) = (limit, clock)
        pool = PostgresPool(
            configuration.target(url),
            named: "errand-outbox",
            limit: 2,
            patience: configuration.connectionWait
        ) { link in try PostgresOutboxTable.make(on: link) }
    }

    /// Closes the connections; entries stay in the table. Later calls throw.
    public func close() async { await pool.close() }

    /// Makes the tables if they are not there.
    ///
    /// The first call of any kind does it too; call it when the application starts where others write rows before that.
    /// - Throws: ``/ErrandCore/StoreError``.
    public func prepare() async throws {
        try await call { _ in }
    }

    public func add(_ jobs: [NewJob]) async throws {
        guard !jobs.isEmpty else { return }
        try await call { [bound, clock] link in
            try PostgresOutboxTable.add(jobs, on: link, limit: bound, at: clock.now)
        }
        hub.publish(.work(Set(jobs.map(\.queue))))
    }

    public func oldest(limit: Int) async throws -> [OutboxEntry] {
        try await call { link in try PostgresOutboxTable.oldest(on: link, limit: limit) }
    }

    public func remove(_ entries: [OutboxEntry]) async throws {
        guard !entries.isEmpty else { return }
        try await call { link in try PostgresOutboxTable.remove(entries, on: link) }
    }

    public func refuse(_ entry: OutboxEntry, because reason: StoreError) async throws {
        try await call { [clock] link in
            try PostgresOutboxTable.refuse(entry, because: reason, on: link, at: clock.now)
        }
    }

    public func count() async throws -> (waiting: Int, refused: Int) {
        try await call { link in try PostgresOutboxTable.count(on: link) }
    }

    /// Runs one statement that commits by itself.
    private func call<Answer: Sendable>(
        _ body: @escaping @Sendable (PostgresLink) throws -> Answer
    ) async throws -> Answer {
        do {
            return try await pool.with(body)
        } catch let failure as PostgresFailure {
            // Each may be repeated: a job whose id is there is left alone, one that is gone is not removed twice.
            throw StoreError(postgres: failure, .committing)
        }
    }
}
