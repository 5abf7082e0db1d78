// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

/// An open transaction of the application's own; valid inside ``PostgresConnection/transaction(_:)``.
public final class PostgresTransaction: Sendable {
    private struct State {
        var isOver = false
        var effects: [@Sendable () -> Void] = []
    }

    private let connection: PostgresConnection
    private let state = Mutex(State())

    init(_ connection: PostgresConnection) {
        self.connection = connection
    }

    /// Runs one statement in the transaction; see ``PostgresConnection/execute(_:_:)``.
    @discardableResult
    public func execute(_ sql: String, _ values: [PostgresValue] = []) async throws -> [[String?]] {
        try check()
        return try await connection.execute(sql, values)
    }

    /// Runs a call of a store in this transaction.
    func join<Answer: Sendable>(_ body: @Sendable (PostgresLink) throws -> Answer) async throws -> Answer {
        try check()
        return try await connection.run(body)
    }

    /// Does `publish` after the commit, and not at all when there is none.
    func afterCommit(_ publish: @escaping @Sendable () -> Void) {
        state.withLock { $0.effects.append(publish) }
    }

    private func check() throws {
        guard state.withLock({ !$0.isOver }) else {
            throw StoreError(.invalid, "the transaction is over; use it only inside `transaction { … }`")
        }
    }

    /// Later calls are refused.
    /// - Returns: What to do when the commit is through.
    func end() -> [@Sendable () -> Void] {
        state.withLock { state in
            state.isOver = true
            return state.effects
        }
    }
}
