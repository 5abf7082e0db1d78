// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
public import GRDB
import GRDBSQLite
import Synchronization

/// Jobs in one SQLite file: the embedded default.
///
/// Nothing to install and nothing to start. Several processes of one machine may use the file; within a process
/// one store serves all clients and workers. Writes of all callers that wait share one commit, so the flush that
/// makes them survive a power cut (``SQLiteConfiguration/durability``) is paid once for all of them.
///
/// Beside the file lie SQLite's own `-wal` and `-shm` files and the folder `<file>-workers` with small lock files.
/// Back up with SQLite's backup command or `VACUUM INTO`, never by copying the file.
public final class SQLiteStore: JobStore {
    public let hub = LocalHub()
    let clock: any ErrandClock
    let pool: DatabasePool
    let writer: SQLiteWriter
    let session: SQLiteSession.Options
    let signals: SQLiteSignals?
    /// The file's own name, by which a connection of the application is recognized.
    let file: String
    private let facts: StoreDescription
    private let calls = Atomic<Int>(0)

    /// Opens the database, makes it if it is not there, and brings its schema up to date.
    ///
    /// Blocks for a moment on the disk; call it when the application starts.
    /// - Parameters:
    ///   - path: The file; its folder must exist and be on a local disk.
    ///   - configuration: How the file is used.
    ///   - clock: The store's time.
    /// - Throws: ``/ErrandCore/StoreError``: `notFound` or `unavailable` for a folder that is missing or cannot be
    ///   written, `unsupported` for a network file system, `corrupt` for a file that is no database, `incompatible`
    ///   for one that a newer build wrote.
    public convenience init(
        path: String,
        configuration: SQLiteConfiguration = .init(),
        clock: any ErrandClock = SystemClock.shared
    ) throws {
        try SQLiteFile.check(path, configuration)
        do {
            let pool = try SQLiteFile.open(path, configuration)
            try self.init(pool, isOwn: true, configuration, clock)
        } catch {
            throw StoreError(any: error)
        }
    }

    /// Keeps the jobs in the application's own database, so that `jobs.enqueue(_:in:)` joins its transactions.
    ///
    /// All tables of the store start with `errand_`. The application opens and closes the pool. GRDB opens pools
    /// with `synchronous=NORMAL`, which a power cut can cost the newest commits; ``describe()`` reports what the
    /// pool really has. For `.powerLoss` run `PRAGMA synchronous = FULL` on the writer after opening it:
    /// `try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }`.
    /// - Throws: ``/ErrandCore/StoreError`` as for ``init(path:configuration:clock:)``.
    public convenience init(
        sharing pool: DatabasePool,
        configuration: SQLiteConfiguration = .init(),
        clock: any ErrandClock = SystemClock.shared
    ) throws {
        try SQLiteFile.check(pool.path, configuration)
        do {
            try self.init(pool, isOwn: false, configuration, clock)
        } catch {
            throw StoreError(any: error)
        }
    }

    private init(
        _ pool: DatabasePool,
        isOwn: Bool,
        _ configuration: SQLiteConfiguration,
        _ clock: any ErrandClock
    ) throws {
        let opened = try SQLiteFile.prepare(pool, isOwn: isOwn, configuration)
        var generator = SystemRandomNumberGenerator()
        let identity = JobID(at: clock.now, using: &generator)
        let folder = SQLiteFile.folderOfWorkers(beside: opened.file)
        let locks = folder.map(WorkerLocks.init)
        let signals =
            configuration.wakeUp == .watch
            ? folder.flatMap { [hub] in SQLiteSignals(folder: $0, id: identity.description, hub: hub) } : nil
        self.clock = clock
        self.pool = pool
        self.signals = signals
        file = opened.file
        session = SQLiteSession.Options(locks: locks)
        facts = SQLiteFile.describe(
            opened,
            wanted: configuration,
            hasLocks: locks != nil,
            hasSignals: signals != nil
        )
        writer = SQLiteWriter(
            pool: pool,
            settings: SQLiteWriter.Settings(
                callsPerCommit: max(configuration.callsPerCommit, 1),
                rowsPerCommit: max(configuration.jobsPerCommit, 1),
                busyTimeout: configuration.busyTimeout,
                checkpointPages: isOwn ? max(configuration.checkpointPages, 1) : nil,
                session: session
            ),
            hub: hub,
            signals: signals,
            onClose: {
                signals?.close()
                locks?.drop()
                guard isOwn else { return }
                // The readers first: SQLite copies the log and removes it when the last connection closes, which a
                // reader cannot do, and the pool closes its writer before them.
                pool.releaseMemory()
                try? pool.close()
            }
        )
        try writer.start()
    }

    deinit {
        writer.stop()
    }

    public func describe() async -> StoreDescription {
        var facts = facts
        if let warning = session.unreadable.warning { facts.warnings.append(warning) }
        if signals?.hasCompany == true, sqlite3_libversion_number() < SQLiteFile.safeVersion {
            facts.warnings.append(
                "several processes write this file with SQLite \(facts.engineVersion), which can in rare cases damage "
                    + "it (fixed in 3.51.3): let one process use the file, or install a newer SQLite"
            )
        }
        return facts
    }

    public func close() async throws {
        await writer.close()
    }

    /// How many commits this process made: how many rows share one is what a benchmark's limit has to copy.
    @_spi(Benchmarks) public var commitCount: Int { writer.commitCount }

    /// How many calls this process made, reading and writing.
    @_spi(Benchmarks) public var callCount: Int { calls.load(ordering: .relaxed) }

    /// Runs one writing call.
    func write<Answer: Sendable>(
        rows: Int = 1,
        _ body: @escaping @Sendable (SQLiteSession, Timestamp) throws -> Answer
    ) async throws -> Answer {
        calls.add(1, ordering: .relaxed)
        return try await writer.perform(rows: rows) { [clock] session in try body(session, clock.now) }
    }

    /// Runs one reading call in a snapshot, on a connection of its own; to its end although the caller is cancelled.
    func read<Answer: Sendable>(
        _ body: @escaping @Sendable (SQLiteSession, Timestamp) throws -> Answer
    ) async throws -> Answer {
        guard !writer.isClosing else { throw StoreError.storeClosed }
        calls.add(1, ordering: .relaxed)
        return try await withCheckedThrowingContinuation { continuation in
            pool.asyncRead { [session, clock] result in
                do {
                    let reader = try SQLiteSession(try result.get(), options: session)
                    continuation.resume(returning: try body(reader, clock.now))
                } catch {
                    continuation.resume(throwing: StoreError(any: error))
                }
            }
        }
    }
}
