// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
public import GRDB

extension SQLiteOutbox {
    /// The transaction that is open on this connection, for `jobs.enqueue(_:in:)`: the job is put into the outbox exactly
    /// if the transaction is committed, and the relay is woken then.
    ///
    /// ```swift
    /// try await pool.write { db in
    ///     try db.execute(sql: "INSERT INTO orders (id) VALUES (17)")
    ///     try jobs.enqueue(Invoice(order: 17), in: outbox.joining(db))
    /// }
    /// ```
    public func joining(_ db: Database) -> OutboxTransaction {
        OutboxTransaction(db: db, outbox: self)
    }
}

/// A transaction of the application on the database that has its outbox.
///
/// Jobs are only added to it: whether their unique keys are taken turns out when they are stored. Nothing can be settled,
/// because the running jobs are in another store.
public struct OutboxTransaction: StoreTransaction {
    let db: Database
    let outbox: SQLiteOutbox

    /// Puts jobs into the outbox in this transaction; each is answered `stored`.
    /// - Throws: ``/ErrandCore/StoreError`` with code `invalid` outside of a transaction, `full` when the outbox is.
    public func insert(_ jobs: [NewJob], into store: any JobStore) throws -> [InsertAnswer] {
        guard db.isInsideTransaction else {
            throw StoreError(.invalid, "there is no transaction that writes; call this inside `write { db in … }`")
        }
        do {
            try OutboxTable.add(jobs, to: db, limit: outbox.bound, at: outbox.clock.now)
        } catch {
            throw StoreError(any: error)
        }
        let queues = Set(jobs.map(\.queue))
        db.afterNextTransaction(onCommit: { [hub = outbox.hub] _ in hub.publish(.work(queues)) })
        return jobs.map { .stored($0.id) }
    }

    /// Throws ``/ErrandCore/StoreError/Code/unsupported``.
    public func settle(_ settlement: Settlement, in store: any JobStore) throws -> SettleAnswer {
        throw StoreError.notInOutbox
    }

    /// Throws ``/ErrandCore/StoreError/Code/unsupported``.
    public func note(_ note: LeaseNote, in store: any JobStore) throws -> Bool {
        throw StoreError.notInOutbox
    }
}
