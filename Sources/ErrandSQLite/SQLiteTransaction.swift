// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
public import GRDB
import GRDBSQLite

/// A transaction of the application's own, on any connection of this process to the file of the store.
extension Database: StoreTransaction {
    public func insert(_ jobs: [NewJob], into store: any JobStore) throws -> [InsertAnswer] {
        try join(store) { session, now in try session.insert(jobs, offer: nil, at: now) }
    }

    public func settle(_ settlement: Settlement, in store: any JobStore) throws -> SettleAnswer {
        try join(store) { session, now in
            let answer = try session.settle(settlement, at: now)
            if case .refused(let error) = answer { throw error }
            return answer
        }
    }

    public func note(_ note: LeaseNote, in store: any JobStore) throws -> Bool {
        try join(store) { session, now in try session.note(note, at: now) }
    }

    /// Runs a call in this transaction, all or nothing, and lets its signals follow the commit.
    private func join<Answer>(
        _ store: any JobStore,
        _ body: (SQLiteSession, Timestamp) throws -> Answer
    ) throws -> Answer {
        guard let store = store as? SQLiteStore, let name = sqlite3_db_filename(sqliteConnection, "main"),
            String(cString: name) == store.file
        else {
            throw StoreError(
                .unsupported,
                "the store does not live in the database of this transaction; use SQLiteStore(sharing:) with its pool"
            )
        }
        guard isInsideTransaction, !configuration.readonly else {
            throw StoreError(.invalid, "there is no transaction that writes; call this inside `write { db in … }`")
        }
        guard !store.writer.isClosing else { throw StoreError.storeClosed }
        do {
            let session = try SQLiteSession(self, options: store.session)
            try session.command(.savepoint).run()
            let answer: Answer
            do {
                answer = try body(session, store.clock.now)
                try session.writeCounts()
                try session.command(.releaseSavepoint).run()
            } catch {
                if isInsideTransaction {
                    try session.command(.rollbackToSavepoint).run()
                    try session.command(.releaseSavepoint).run()
                }
                throw error
            }
            let effects = session.effects
            if effects.isOfInterest {
                afterNextTransaction(onCommit: { [hub = store.hub, signals = store.signals] _ in
                    effects.publish(to: hub)
                    signals?.touch()
                })
            }
            return answer
        } catch {
            throw StoreError(any: error)
        }
    }
}
