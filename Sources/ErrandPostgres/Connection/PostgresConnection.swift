// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// A connection to PostgreSQL through libpq, for an application's own statements and transactions beside its jobs.
///
/// An actor with a thread of its own as executor, because libpq blocks: nothing of it runs on the cooperative pool.
/// The address is whatever libpq takes: `postgres://user@host/db?sslmode=verify-full`, `host=… dbname=…`, several hosts
/// with `target_session_attrs`, `service=…`; passwords may come from `~/.pgpass` or `PGPASSWORD`.
///
/// ```swift
/// let connection = try await PostgresConnection.connect("postgres://localhost/shop")
/// try await connection.transaction { transaction in
///     try await transaction.execute("INSERT INTO orders (name) VALUES ($1)", [.text("Ada")])
///     try await jobs.enqueue(SendReceipt(order: 7), in: transaction)
/// }
/// ```
public actor PostgresConnection {
    private let thread: PostgresThread
    private let target: PostgresLink.Target
    private var link: PostgresLink?
    private var canceller: PostgresCanceller?
    private var isInTransaction = false

    public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(_ target: PostgresLink.Target, named name: String = "errand-pg") {
        self.target = target
        thread = PostgresThread(name: name)
    }

    deinit { thread.end() }

    /// Connects.
    /// - Parameters:
    ///   - address: What libpq takes; what it leaves out comes from the environment (`PGHOST` …).
    ///   - patience: How long one statement may take before the server is asked to stop it, and, when even that brings no
    ///     answer, the connection is given up. 10 minutes.
    /// - Throws: ``/ErrandCore/StoreError`` that says what is wrong: host, password, database, TLS.
    public static func connect(
        _ address: String,
        patience: Duration = .seconds(600)
    ) async throws -> PostgresConnection {
        let connection = PostgresConnection(PostgresLink.Target(address: address, patience: patience))
        do {
            try await connection.open { _ in }
        } catch {
            throw StoreError(any: error, .connecting)
        }
        return connection
    }

    /// Ends the connection; an open transaction is rolled back by the server.
    public func close() {
        link = nil
        thread.end()
    }

    /// Whether the other side is still there, as far as can be told without asking it.
    public var isAlive: Bool { link?.isAlive ?? false }

    /// Runs one statement; its values are sent apart from its text.
    /// - Returns: The rows, each value as PostgreSQL writes it, `nil` for `NULL`.
    /// - Throws: ``/ErrandCore/StoreError``.
    @discardableResult
    public func execute(_ sql: String, _ values: [PostgresValue] = []) throws -> [[String?]] {
        try perform(isInTransaction ? .open : .committing) { link throws(PostgresFailure) in
            try link.query(sql, values, asText: true).texts
        }
    }

    /// Runs `body` in a transaction that commits when it returns and is rolled back when it throws.
    ///
    /// Transactions of one connection do not nest and must not overlap: use one connection for each.
    /// - Throws: What `body` throws; ``/ErrandCore/StoreError`` with code `outcomeUnknown` when the answer to the commit
    ///   was lost.
    public func transaction<Answer: Sendable>(
        _ body: @Sendable (PostgresTransaction) async throws -> Answer
    ) async throws -> Answer {
        guard !isInTransaction else {
            throw StoreError(.invalid, "a transaction is open on this connection; use another connection")
        }
        try perform(.open) { link throws(PostgresFailure) in _ = try link.run("BEGIN") }
        isInTransaction = true
        let transaction = PostgresTransaction(self)
        let answer: Answer
        do {
            answer = try await body(transaction)
        } catch {
            isInTransaction = false
            _ = transaction.end()
            try? perform(.open) { link throws(PostgresFailure) in _ = try link.run("ROLLBACK") }
            throw error
        }
        isInTransaction = false
        let effects = transaction.end()
        try perform(.committing) { link throws(PostgresFailure) in _ = try link.run("COMMIT") }
        for publish in effects { publish() }
        return answer
    }

    /// Asks the server to stop the statement that runs now, from any thread; it then fails with `unavailable`.
    public nonisolated func cancel() {
        // The actor is busy with that statement: what is asked must not wait for it.
        cancellers.current?.cancel()
    }

    // MARK: For the pool

    private nonisolated let cancellers = PostgresCurrent()

    /// Makes the connection, and runs `greet` on it before anybody else has it.
    func open(_ greet: @Sendable (PostgresLink) throws -> Void) throws {
        let opened = try PostgresLink(target)
        cancellers.set(opened.cancel)
        try greet(opened)
        link = opened
    }

    /// It turned out that nobody is at the other end any more, before anything was sent.
    struct Stale: Error {}

    /// Runs `body` on this connection's thread, unless the other side went away while it was idle.
    func lend<Answer: Sendable>(
        isFresh: Bool,
        _ body: @Sendable (PostgresLink) throws -> Answer
    ) throws -> Answer {
        guard let link, isFresh || link.isAlive else { throw Stale() }
        return try body(link)
    }

    /// Runs `body` on this connection's thread.
    func run<Answer: Sendable>(_ body: @Sendable (PostgresLink) throws -> Answer) throws -> Answer {
        guard let link else { throw PostgresFailure(.lost, "the connection was closed") }
        return try body(link)
    }

    private func perform<Answer>(
        _ moment: PostgresMoment,
        _ body: (PostgresLink) throws(PostgresFailure) -> Answer
    ) throws -> Answer {
        guard let link else { throw StoreError(.closed, "the connection was closed; open a new one") }
        do {
            return try body(link)
        } catch {
            if error.endsConnection { self.link = nil }
            throw StoreError(postgres: error, moment)
        }
    }
}
