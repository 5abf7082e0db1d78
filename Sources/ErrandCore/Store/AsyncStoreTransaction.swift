// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A transaction of the application's own, on a connection that works elsewhere than its caller.
///
/// The twin of ``StoreTransaction`` for engines whose connections are asynchronous (ErrandPostgres:
/// `PostgresTransaction`). What is written through it exists exactly if the rest of the transaction does; the wake-up follows
/// the commit.
public protocol AsyncStoreTransaction: Sendable {
    /// Stores jobs in this transaction. Called by `JobClient.enqueue(_:in:)`.
    /// - Throws: ``StoreError`` with code `unsupported` when `store` does not live in this database.
    func insert(_ jobs: [NewJob], into store: any JobStore) async throws -> [InsertAnswer]

    /// Settles a running job in this transaction: its end, its result, its follow-ups and the application's
    /// own writes are one commit. Called by `JobContext.complete(_:in:)`.
    /// - Throws: ``StoreError`` as above, and the one of ``SettleAnswer/refused(_:)``, so that nobody takes a refusal
    ///   for an end.
    func settle(_ settlement: Settlement, in store: any JobStore) async throws -> SettleAnswer

    /// Writes what a running job said in this transaction. Called before ``settle(_:in:)``, after which the store
    /// refuses it.
    /// - Returns: Whether the lease still holds.
    /// - Throws: ``StoreError`` as above.
    @discardableResult
    func note(_ note: LeaseNote, in store: any JobStore) async throws -> Bool
}
