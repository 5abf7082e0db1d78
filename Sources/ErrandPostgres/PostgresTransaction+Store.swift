// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension PostgresTransaction: AsyncStoreTransaction {
    public func insert(_ jobs: [NewJob], into store: any JobStore) async throws -> [InsertAnswer] {
        guard !jobs.isEmpty else { return [] }
        let store = try await own(store)
        // In commits of their own: this transaction may stay open, and others must not wait for what it made.
        try await store.makeLanes(for: jobs)
        return try await join(store) { session in try session.insert(jobs) }
    }

    public func settle(_ settlement: Settlement, in store: any JobStore) async throws -> SettleAnswer {
        let store = try await own(store)
        try await store.makeLanes(for: settlement.followUps)
        let answer = try await join(store) { session in try session.settle([settlement]).first ?? .leaseLost }
        if case .refused(let error) = answer { throw error }
        return answer
    }

    public func note(_ note: LeaseNote, in store: any JobStore) async throws -> Bool {
        try await join(own(store)) { session in
            guard case .success(let job) = try session.lock([note.lease.job])[note.lease.job],
                job.record.isHeld(by: note.lease)
            else { return false }
            try session.keep(note)
            return true
        }
    }

    /// The store, if it lives in the database of this transaction.
    private func own(_ store: any JobStore) async throws -> PostgresStore {
        guard let store = store as? PostgresStore else { throw Self.elsewhere }
        try store.checkOpen()
        let identity = try await store.identity()
        let found = try await withStoreErrors {
            try await self.join { link in
                // Asked of the catalogue first: a statement about a table that is not there would end the transaction.
                let table = PostgresMigrations.quoted(store.configuration.schema) + ".identity"
                let exists = try link.query("SELECT to_regclass($1) IS NOT NULL", [.text(table)]).bool(0, 0)
                return exists ? try link.query(store.shared.statements[PostgresQuery.identity.rawValue]).id(0, 0) : nil
            }
        }
        guard found == identity else { throw Self.elsewhere }
        return store
    }

    private static let elsewhere = StoreError(
        .unsupported,
        "the store does not live in the database of this transaction; connect to the store's own database"
    )

    private func join<Answer: Sendable>(
        _ store: PostgresStore,
        _ body: @escaping @Sendable (PostgresSession) throws -> Answer
    ) async throws -> Answer {
        let (answer, effects) = try await withStoreErrors {
            try await self.join { link in try store.joined(on: link, body) }
        }
        afterCommit { store.publish(effects) }
        return answer
    }

    private func withStoreErrors<Answer>(_ body: () async throws -> Answer) async throws -> Answer {
        do {
            return try await body()
        } catch {
            throw StoreError(any: error)
        }
    }
}

extension PostgresStore {
    /// The name of the schema's one and only self; connects when nobody did yet.
    func identity() async throws -> JobID? {
        if let known = facts.identity { return known }
        return try await look { [facts] _ in facts.identity }
    }
}
