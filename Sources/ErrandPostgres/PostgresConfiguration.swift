// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// How a ``PostgresStore`` uses its server.
public struct PostgresConfiguration: Sendable {
    /// How this process learns that another one wrote.
    public enum WakeUp: Sendable, Hashable {
        /// LISTEN on one connection of its own; tested at the start, and given up for ``poll`` when notifications
        /// do not come through, which ``PostgresStore/describe()`` then says.
        case listen
        /// Not at all; workers and waiting callers find out when they poll.
        case poll
    }

    /// The schema that holds the tables; one for each deployment that shares a database.
    ///
    /// Any name PostgreSQL accepts, quoted where it is used. `errand`.
    public var schema = "errand"

    /// The most connections that work at the same time; one more is kept for heartbeats, and one for notifications.
    ///
    /// 4, which saturates a server of a few cores: calls of one process are joined into batches.
    public var connections = 4

    /// How long a call waits for a free connection before it fails with
    /// ``/ErrandCore/StoreError/Code/unavailable``.
    ///
    /// 10 s.
    public var connectionWait: Duration = .seconds(10)

    /// How long one statement may take before the server stops it (`statement_timeout`).
    ///
    /// 30 s. This side gives up 5 s later, also when the server does not answer at all.
    public var statementTimeout: Duration = .seconds(30)

    /// How long a statement waits for a row that another transaction holds (`lock_timeout`).
    ///
    /// 5 s.
    public var lockTimeout: Duration = .seconds(5)

    /// How long an enqueue waits for a unique key that an open transaction is writing before that one job is refused.
    ///
    /// 250 ms; the other jobs of the same batch do not wait for it.
    public var keyTimeout: Duration = .milliseconds(250)

    /// When the server ends a transaction that does nothing (`idle_in_transaction_session_timeout`).
    ///
    /// 30 s; it bounds what a process that stopped in the middle holds up.
    public var idleTransactionTimeout: Duration = .seconds(30)

    /// How this process learns that another one wrote.
    ///
    /// `.listen`.
    public var wakeUp: WakeUp = .listen

    /// Another address for LISTEN, for servers behind a transaction pooler: the server's own.
    ///
    /// `nil` for the address of the store.
    public var listenAddress: String?

    /// Whether the store applies the migrations it needs when it connects for the first time.
    ///
    /// True. Without it a schema that is missing or old is an error, ``/ErrandCore/StoreError/Code/incompatible``.
    public var migrates = true

    /// The defaults.
    public init() {}

    /// The defaults with this schema.
    public init(schema: String) {
        self.schema = schema
    }

    /// The settings of each session, or of each transaction behind a pooler.
    var limits: [(name: String, milliseconds: Int64)] {
        [
            ("statement_timeout", statementTimeout.wholeMicroseconds / 1000),
            ("lock_timeout", lockTimeout.wholeMicroseconds / 1000),
            ("idle_in_transaction_session_timeout", idleTransactionTimeout.wholeMicroseconds / 1000),
        ]
    }

    /// What a pooled or a direct connection of this store is made from.
    func target(_ address: String) -> PostgresLink.Target {
        PostgresLink.Target(
            address: address,
            patience: statementTimeout + .seconds(5),
            // Statements about arrays look dear to the planner and are not: compiling them would be.
            greeting: [
                (limits.map { "SET \($0.name) = \($0.milliseconds)" } + ["SET jit = off"]).joined(separator: "; ")
            ]
        )
    }
}
