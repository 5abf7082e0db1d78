// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension PostgresOutbox {
    /// A transaction of this application on the database that has the outbox, for `jobs.enqueue(_:in:)`: the job is put
    /// into the outbox exactly if the transaction is committed, and the relay of this process is woken then.
    ///
    /// ```swift
    /// try await connection.transaction { transaction in
    ///     try await transaction.execute("INSERT INTO orders (id) VALUES ($1)", [.int(17)])
    ///     try await jobs.enqueue(Bill(order: 17), in: outbox.joining(transaction))
    /// }
    /// ```
    public func joining(_ transaction: PostgresTransaction) -> PostgresOutboxTransaction {
        PostgresOutboxTransaction(transaction: transaction, outbox: self)
    }
}

/// An open transaction on the database that has an outbox.
///
/// Jobs are only added to it: whether their unique keys are taken turns out when they are stored. Nothing can be settled,
/// because the running jobs are in another store.
public struct PostgresOutboxTransaction: AsyncStoreTransaction {
    let transaction: PostgresTransaction
    let outbox: PostgresOutbox

    /// Puts jobs into the outbox in this transaction; each is answered `stored`.
    /// - Throws: ``/ErrandCore/StoreError`` with code `full` when the outbox is.
    public func insert(_ jobs: [NewJob], into store: any JobStore) async throws -> [InsertAnswer] {
        guard !jobs.isEmpty else { return [] }
        // In a transaction of its own: this one may be rolled back.
        try await outbox.prepare()
        do {
            try await transaction.join { [bound = outbox.bound, clock = outbox.clock] link in
                try PostgresOutboxTable.add(jobs, on: link, limit: bound, at: clock.now)
            }
        } catch {
            throw StoreError(any: error)
        }
        let queues = Set(jobs.map(\.queue))
        transaction.afterCommit { [hub = outbox.hub] in hub.publish(.work(queues)) }
        return jobs.map { .stored($0.id) }
    }

    /// Throws ``/ErrandCore/StoreError/Code/unsupported``.
    public func settle(_ settlement: Settlement, in store: any JobStore) async throws -> SettleAnswer {
        throw StoreError.notInOutbox
    }

    /// Throws ``/ErrandCore/StoreError/Code/unsupported``.
    public func note(_ note: LeaseNote, in store: any JobStore) async throws -> Bool {
        throw StoreError.notInOutbox
    }
}
