// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation
import GRDB
import GRDBSQLite
import Synchronization

/// The one thread of a store that writes.
///
/// It takes everything that waits, runs it in one transaction, a savepoint for each call, commits once and then
/// answers all: inserts, claims, settles and beats share one flush of the disk. What arrives meanwhile is the next
/// group; nobody waits for a group to fill. A thread of its own, because it blocks on the disk and must run while
/// the cooperative pool is starved.
final class SQLiteWriter: Sendable {
    /// What a writer needs to know of its store.
    struct Settings: Sendable {
        var callsPerCommit: Int
        var rowsPerCommit: Int
        var busyTimeout: Duration
        /// `nil` when the application's own pool takes care of its log.
        var checkpointPages: Int?
        var session: SQLiteSession.Options
    }

    private struct Queue {
        var waiting: [any SQLiteCall] = []
        var isSleeping = false
        var isClosing = false
        var closers: [CheckedContinuation<Void, Never>] = []
        var isClosed = false
    }

    private let pool: DatabasePool
    private let settings: Settings
    private let hub: LocalHub
    private let signals: SQLiteSignals?
    private let onClose: @Sendable () -> Void
    private let queue = Mutex(Queue())
    private let wake = DispatchSemaphore(value: 0)
    /// How many groups were begun and how many commits there were, for tests: time proves nothing.
    private let groups = Atomic<Int>(0)
    private let commits = Atomic<Int>(0)

    init(
        pool: DatabasePool,
        settings: Settings,
        hub: LocalHub,
        signals: SQLiteSignals?,
        onClose: @escaping @Sendable () -> Void
    ) {
        self.pool = pool
        self.settings = settings
        self.hub = hub
        self.signals = signals
        self.onClose = onClose
    }

    func start() throws(StoreError) {
        guard OSThread.start(named: "errand-write", { self.serve() }) else {
            throw StoreError(.unavailable, "the system gave the store no thread; raise its limit of threads")
        }
    }

    var groupCount: Int { groups.load(ordering: .relaxed) }

    var commitCount: Int { commits.load(ordering: .relaxed) }

    /// Runs `body` in a transaction and returns after its commit; to its end although the caller is cancelled.
    func perform<Value: Sendable>(
        rows: Int,
        _ body: @escaping @Sendable (SQLiteSession) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let call = SQLiteTypedCall(rows: rows, body: body, continuation: continuation)
            let (isRefused, wakes) = queue.withLock { queue -> (Bool, Bool) in
                if queue.isClosing { return (true, false) }
                queue.waiting.append(call)
                defer { queue.isSleeping = false }
                return (false, queue.isSleeping)
            }
            if isRefused { call.answer(.storeClosed) }
            if wakes { wake.signal() }
        }
    }

    /// Finishes what waits, closes the connections and returns.
    func close() async {
        await withCheckedContinuation { continuation in
            let (isClosed, wakes) = queue.withLock { queue -> (Bool, Bool) in
                if queue.isClosed { return (true, false) }
                queue.closers.append(continuation)
                return (false, Self.stop(&queue))
            }
            if isClosed { continuation.resume() }
            if wakes { wake.signal() }
        }
    }

    /// The same, without waiting for it.
    func stop() {
        if queue.withLock({ Self.stop(&$0) }) { wake.signal() }
    }

    /// How many calls wait, for tests.
    var waitingCount: Int { queue.withLock { $0.waiting.count } }

    var isClosing: Bool { queue.withLock { $0.isClosing } }

    private static func stop(_ queue: inout Queue) -> Bool {
        queue.isClosing = true
        defer { queue.isSleeping = false }
        return queue.isSleeping
    }

    // MARK: The thread

    private func serve() {
        var session: SQLiteSession?
        var isOfInterest = false
        var groupsUntold = 0
        while true {
            let group = take()
            if !group.isEmpty {
                isOfInterest = perform(group, &session) || isOfInterest
                groupsUntold += 1
            }
            let isIdle = queue.withLock { $0.waiting.isEmpty }
            // Told once for a run of groups: each telling wakes every other process.
            if isOfInterest, isIdle || groupsUntold >= 8 {
                signals?.touch()
                (isOfInterest, groupsUntold) = (false, 0)
            }
            checkpointIfNeeded(session, isIdle: isIdle)
            guard isIdle else { continue }
            if !group.isEmpty, linger() { continue }
            let next = queue.withLock { queue -> (sleeps: Bool, ends: Bool) in
                guard queue.waiting.isEmpty else { return (false, false) }
                if queue.isClosing { return (false, true) }
                queue.isSleeping = true
                return (true, false)
            }
            if next.ends { break }
            if next.sleeps { wake.wait() }
        }
        session?.close()
        session = nil
        onClose()
        let closers = queue.withLock { queue in
            queue.isClosed = true
            defer { queue.closers = [] }
            return queue.closers
        }
        for closer in closers { closer.resume() }
    }

    /// Waits some microseconds for the next call, giving the core to whoever wants it: a caller that awaits each of
    /// its calls is back by then, and falling asleep and being woken would cost both as much as the call.
    /// - Returns: Whether one came.
    private func linger() -> Bool {
        for _ in 0..<Self.looks {
            if waitingCount > 0 { return true }
            OSThread.yield()
        }
        return false
    }

    /// How often it looks before it sleeps: about 150 µs on an idle machine.
    private static let looks = 400

    /// The calls that wait, as many as fit into one transaction beside those of `group`.
    private func take(besides group: [any SQLiteCall] = []) -> [any SQLiteCall] {
        queue.withLock { queue in
            guard !queue.waiting.isEmpty else { return [] }
            var count = 0
            var rows = group.reduce(0) { $0 + $1.rows }
            for call in queue.waiting.prefix(settings.callsPerCommit - group.count) {
                rows += call.rows
                if count + group.count > 0, rows > settings.rowsPerCommit { break }
                count += 1
            }
            guard count < queue.waiting.count else {
                defer { queue.waiting = [] }
                return queue.waiting
            }
            let taken = Array(queue.waiting.prefix(count))
            queue.waiting.removeFirst(count)
            return taken
        }
    }

    /// How a group ended.
    private enum Fate {
        case committed(SQLiteEffects)
        /// Nothing was written, or nobody knows. `alone`: each call may fare better by itself.
        case failed(StoreError, alone: Bool)
    }

    /// Runs a group to its answers.
    /// - Returns: Whether other processes would like to know.
    private func perform(
        _ calls: [any SQLiteCall],
        _ session: inout SQLiteSession?,
        joinedByOthers: Bool = true
    ) -> Bool {
        groups.add(1, ordering: .relaxed)
        var group = calls
        let fate = pool.writeWithoutTransaction { db -> Fate in
            do {
                let current = try session ?? SQLiteSession(db, options: settings.session)
                if session == nil, settings.checkpointPages != nil { current.watchLog() }
                session = current
                return transact(&group, joinedByOthers, in: current)
            } catch {
                return .failed(StoreError(any: error), alone: false)
            }
        }
        switch fate {
        case .committed(let effects):
            for worker in effects.goneWorkers { settings.session.locks?.release(worker) }
            // First the signals: who has an answer may rely on everybody in this process knowing.
            effects.publish(to: hub)
            for call in group { call.answer(nil) }
            return effects.isOfInterest
        case .failed(let error, let alone):
            guard alone, group.count > 1 else {
                for call in group { call.answer(error) }
                return false
            }
            // One call has undone the whole transaction (a full disk, say): the others are not to blame.
            return group.reduce(false) { perform([$1], &session, joinedByOthers: false) || $0 }
        }
    }

    private func transact(_ group: inout [any SQLiteCall], _ joinedByOthers: Bool, in session: SQLiteSession) -> Fate {
        let db = session.db
        var isCommitting = false
        do {
            try begin(db)
            // What came while another process had the lock need not wait for the lock once more.
            if joinedByOthers { group += take(besides: group) }
            let changes = sqlite3_total_changes(session.connection)
            for call in group {
                try run(call, in: session, isAlone: group.count == 1)
            }
            if sqlite3_total_changes(session.connection) == changes, !session.effects.hasCounts {
                // An idle claim or a repeat: nothing to flush.
                try db.rollback()
            } else {
                try session.writeCounts()
                isCommitting = true
                // Prepared once: to compile these two costs a small commit a tenth of its time.
                try db.cachedStatement(sql: "COMMIT TRANSACTION").execute()
                commits.add(1, ordering: .relaxed)
            }
            defer { session.effects = SQLiteEffects() }
            return .committed(session.effects)
        } catch {
            session.effects = SQLiteEffects()
            session.forget()
            try? db.rollback()
            let failure = StoreError(any: error, duringCommit: isCommitting)
            return .failed(failure, alone: failure.code != .outcomeUnknown && !isBusy(error))
        }
    }

    /// Runs one call; throws only what ends the whole transaction.
    private func run(_ call: any SQLiteCall, in session: SQLiteSession, isAlone: Bool) throws {
        if isAlone { return try call.run(in: session) }
        let before = session.effects
        try session.command(.savepoint).run()
        do {
            try call.run(in: session)
        } catch {
            guard sqlite3_get_autocommit(session.connection) == 0 else { throw error }
            try session.command(.rollbackToSavepoint).run()
            session.effects = before
            session.forget()
            call.fail(StoreError(any: error))
        }
        try session.command(.releaseSavepoint).run()
    }

    /// Takes the write lock, waiting with jitter while another process has it.
    ///
    /// A connection of our own waits in its busy handler; a pool of the application may have none.
    private func begin(_ db: Database) throws {
        var wait = BusyWait(limit: settings.busyTimeout)
        while true {
            do {
                return try db.cachedStatement(sql: "BEGIN IMMEDIATE TRANSACTION").execute()
            } catch let error as DatabaseError where isBusy(error) && settings.checkpointPages == nil {
                guard wait.pause() else { throw error }
            }
        }
    }

    private func isBusy(_ error: any Error) -> Bool {
        (error as? DatabaseError)?.resultCode == .SQLITE_BUSY
    }

    /// Copies the log into the database when it is long and nobody waits, or when it is very long.
    private func checkpointIfNeeded(_ session: SQLiteSession?, isIdle: Bool) {
        guard let session, let pages = settings.checkpointPages else { return }
        let length = session.logPages.load(ordering: .relaxed)
        guard length >= pages, isIdle || length >= 4 * pages else { return }
        session.logPages.store(0, ordering: .relaxed)
        // Another process may be at it; the next commit tells how long the log is then.
        pool.writeWithoutTransaction { db in _ = try? db.checkpoint(.passive) }
    }
}

/// Waits for another process to finish its transaction: 50 µs at first, then 250, each with jitter, so that two
/// that wait do not take turns in losing.
///
/// Used on threads that may block.
struct BusyWait: Sendable {
    private let limit: Duration
    private var waited: Duration = .zero
    private var tries: UInt64 = 0

    init(limit: Duration) {
        self.limit = limit
    }

    /// Waits a little; false when the limit is reached.
    mutating func pause() -> Bool {
        guard waited < limit else { return false }
        let microseconds = Self.wait(try: tries)
        tries += 1
        waited += .microseconds(microseconds)
        usleep(UInt32(microseconds))
        return true
    }

    /// 50 µs doubling to 250 µs, spread over 50 to 150 % by a hash of the try and the process.
    static func wait(try number: UInt64) -> Int64 {
        let base = min(50 << min(number, 3), 250)
        var mixed = (number &+ UInt64(UInt32(bitPattern: getpid()))) &* 0x9E37_79B9_7F4A_7C15
        mixed ^= mixed >> 32
        return Int64(base / 2) + Int64(mixed % UInt64(base))
    }
}
