// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import Synchronization

/// Jobs in PostgreSQL: for several machines, and for applications whose data is there already.
///
/// The address is whatever libpq takes: `postgres://user@host/db?sslmode=verify-full`, `host=… dbname=…`, several hosts
/// with `target_session_attrs=read-write`, `service=…`. PostgreSQL 13 or newer, directly or behind a pooler such as PgBouncer
/// in transaction mode. One store serves all clients and workers of a process.
///
/// Nothing is connected before the first call, and a server that goes away and comes back is found again by itself: calls
/// fail with `unavailable` meanwhile.
public final class PostgresStore: JobStore {
    public let hub = LocalHub()
    let shared: PostgresShared
    let configuration: PostgresConfiguration
    let address: String
    let pool: PostgresPool
    /// Beats do not wait for the calls of others.
    let vitalPool: PostgresPool
    let signals: PostgresSignals?
    /// The time instead of the server's, in tests.
    let testClock: (any ErrandClock)?
    let clock: any ErrandClock = SystemClock.shared
    private let chance: Chance
    let facts: PostgresFacts
    private let isClosed = Mutex(false)
    let commits = Atomic<Int>(0)
    /// At which of them maintenance last looked at the appended changes of the counts.
    let foldedAt = Atomic<Int>(0)
    private let calls = Atomic<Int>(0)

    /// Jobs on this server. Time is the server's.
    /// - Parameters:
    ///   - url: What libpq takes; what it leaves out comes from the environment (`PGHOST`, `PGPASSWORD` …).
    ///   - configuration: How the server is used.
    /// - Throws: ``/ErrandCore/StoreError`` with code `invalid` for an address or a schema name that cannot be read.
    public convenience init(url: String, configuration: PostgresConfiguration = .init()) throws {
        try self.init(url: url, configuration: configuration, testClock: nil)
    }

    /// The same with the time of `testClock` instead of the server's, for tests that move it.
    /// - Throws: As ``init(url:configuration:)``.
    public convenience init(
        url: String,
        configuration: PostgresConfiguration = .init(),
        clock testClock: any ErrandClock
    ) throws {
        try self.init(url: url, configuration: configuration, testClock: testClock)
    }

    private init(url: String, configuration: PostgresConfiguration, testClock: (any ErrandClock)?) throws {
        if let problem = PostgresLink.problem(with: url) ?? PostgresMigrations.problem(with: configuration.schema) {
            throw StoreError(.invalid, problem)
        }
        address = url
        chance = .system
        self.configuration = configuration
        self.testClock = testClock
        shared = PostgresShared(schema: configuration.schema)
        let facts = PostgresFacts()
        self.facts = facts
        let signals =
            configuration.wakeUp == .listen
            ? PostgresSignals(
                configuration.target(configuration.listenAddress ?? url),
                probe: configuration.target(url),
                schema: configuration.schema,
                hub: hub,
                origin: chance.jobID(at: clock.now).description,
                isTrusted: configuration.listenAddress != nil
            ) : nil
        self.signals = signals
        let greet: @Sendable (PostgresLink) throws -> Void = { [shared] link in
            try facts.greet(link, configuration, shared)
            signals?.start()
        }
        let target = configuration.target(url)
        pool = PostgresPool(
            target,
            named: "errand-pg",
            limit: configuration.connections,
            patience: configuration.connectionWait,
            greet: greet
        )
        vitalPool = PostgresPool(
            target,
            named: "errand-pg-beat",
            limit: 1,
            patience: configuration.connectionWait,
            greet: greet
        )
    }

    deinit {
        signals?.close()
    }

    public func describe() async -> StoreDescription {
        // Asks the server if it can, and says what it last knew if not.
        _ = try? await pool.with { link in try self.facts.look(link) }
        var warnings: [String] = []
        if let trouble = pool.trouble { warnings.append("\(trouble.message) (\(trouble.cause ?? "no details"))") }
        if let warning = shared.unreadable.warning { warnings.append(warning) }
        if let warning = await signals?.warning() { warnings.append(warning) }
        return facts.description(adding: warnings)
    }

    public func close() async throws {
        isClosed.withLock { $0 = true }
        signals?.close()
        await pool.close()
        await vitalPool.close()
    }

    /// How many transactions this process made that may write, empty claims among them: how many rows share one is what a
    /// benchmark's limit has to copy.
    @_spi(Benchmarks) public var commitCount: Int { commits.load(ordering: .relaxed) }

    /// How many transactions this process made, reading and writing.
    @_spi(Benchmarks) public var callCount: Int { calls.load(ordering: .relaxed) }

    func checkOpen() throws {
        if isClosed.withLock({ $0 }) { throw StoreError.storeClosed }
    }

    /// Store time as a value for a function: NULL is the server's own.
    var moment: PostgresValue { .int(testClock?.now.microseconds) }

    // MARK: Running calls

    /// Runs one transaction that writes, again when others were in its way, and tells what it did after its commit.
    func write<Answer: Sendable>(
        lockTimeout: Duration? = nil,
        _ body: @escaping @Sendable (PostgresSession) throws -> Answer
    ) async throws -> Answer {
        let (answer, effects) = try await repeating {
            self.commits.add(1, ordering: .relaxed)
            return try await self.pool.with { link in
                try self.transaction(on: link, lockTimeout: lockTimeout) { session in try body(session) }
            }
        }
        publish(effects)
        return answer
    }

    /// Runs statements that each commit by themselves.
    func commit<Answer: Sendable>(
        on pool: PostgresPool? = nil,
        _ body: @escaping @Sendable (PostgresLink, PostgresShared) throws -> Answer
    ) async throws -> Answer {
        try await repeating {
            self.commits.add(1, ordering: .relaxed)
            return try await (pool ?? self.pool)
                .with { link in
                    do {
                        return try body(link, self.shared)
                    } catch var failure as PostgresFailure {
                        failure.moment = .committing
                        throw failure
                    }
                }
        }
    }

    /// Runs statements that only read, in one snapshot.
    func read<Answer: Sendable>(
        _ body: @escaping @Sendable (PostgresSession) throws -> Answer
    ) async throws -> Answer {
        try await repeating {
            try await self.pool.with { link in
                try self.transaction(on: link, begin: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") { session in
                    try body(session)
                }
                .0
            }
        }
    }

    /// Runs one statement that only reads.
    func look<Answer: Sendable>(
        _ body: @escaping @Sendable (PostgresSession) throws -> Answer
    ) async throws -> Answer {
        try await repeating {
            try await self.pool.with { link in
                try body(PostgresSession(link, self.shared, at: self.testClock?.now ?? .epoch))
            }
        }
    }

    func publish(_ effects: PostgresEffects) {
        guard effects.isOfInterest else { return }
        effects.publish(to: hub)
        signals?.tell(effects)
    }

    private func transaction<Answer>(
        on link: PostgresLink,
        begin: String = "BEGIN",
        lockTimeout: Duration? = nil,
        _ body: (PostgresSession) throws -> Answer
    ) throws -> (Answer, PostgresEffects) {
        var opening = begin
        // Behind a pooler the next transaction has another session, so its limits come with it.
        for limit in link.isPooled ? configuration.limits : [] {
            opening += "; SET LOCAL \(limit.name) = \(limit.milliseconds)"
        }
        if let lockTimeout { opening += "; SET LOCAL lock_timeout = \(lockTimeout.wholeMicroseconds / 1000)" }
        opening += "; SELECT \(Self.serverTime)"
        let opened = try link.run(opening)
        let server = Timestamp(microseconds: Int64(opened.text(0, 0)) ?? 0)
        let session = PostgresSession(link, shared, at: testClock?.now ?? server)
        let answer: Answer
        do {
            answer = try body(session)
            try session.writeCounts()
        } catch {
            if (error as? PostgresFailure)?.endsConnection != true { try link.run("ROLLBACK") }
            throw error
        }
        do {
            try link.run("COMMIT")
        } catch {
            var failure = error
            failure.moment = .committing
            throw failure
        }
        shared.lanes.remember(session.newLanes)
        return (answer, session.effects)
    }

    /// Runs a call in an open transaction of the application's own, all or nothing.
    func joined<Answer>(
        on link: PostgresLink,
        _ body: (PostgresSession) throws -> Answer
    ) throws -> (Answer, PostgresEffects) {
        try link.run("SAVEPOINT errand_call")
        do {
            let now = try testClock?.now ?? link.query("SELECT \(Self.serverTime)").instant(0, 0)
            let session = PostgresSession(link, shared, at: now, isJoined: true)
            let answer = try body(session)
            try session.writeCounts()
            try link.run("RELEASE errand_call")
            return (answer, session.effects)
        } catch {
            if (error as? PostgresFailure)?.endsConnection != true {
                try link.run("ROLLBACK TO errand_call; RELEASE errand_call")
            }
            throw error
        }
    }

    private static let serverTime = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

    /// How often a transaction is run again when others were in its way.
    private static let mostTries = 6

    private func repeating<Answer: Sendable>(_ call: () async throws -> Answer) async throws -> Answer {
        var tries = 0
        while true {
            try checkOpen()
            calls.add(1, ordering: .relaxed)
            do {
                return try await call()
            } catch let failure as PostgresFailure where failure.isConflict && tries < Self.mostTries {
                tries += 1
                let share = chance.draw { Double.random(in: 0.5...1, using: &$0) }
                // A cancelled caller does not wait; the call still runs to its end.
                try? await clock.sleep(for: .milliseconds(5 << tries) * share)
            } catch {
                // What the server did all the same nobody here knows.
                shared.searches.isNeeded()
                throw StoreError(any: error)
            }
        }
    }
}
