// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import Logging

/// What a handler is given besides the job: who it is, how long it may take, whether it should stop, and what it
/// can say while it runs.
public struct JobContext: Sendable {
    /// The job's id; the same over all attempts and runs.
    public var id: JobID { running.record.id }
    /// The job's name.
    public var name: JobName { running.record.name }
    /// The line it stood in.
    public var queue: QueueName { running.record.queue }
    /// Which attempt of this run, from 1. A snoozed or released attempt is given back, so the number repeats.
    public var attempt: Int { running.record.attempt }
    /// Which run: 1, and one more for each retry by an operator after the end.
    public var run: Int { running.record.run }
    /// The fencing number of this attempt, larger than that of any earlier one: hand it to systems that can
    /// refuse writes of an attempt that was overtaken.
    public var epoch: Int64 { running.lease.epoch }
    /// Facts the enqueuing side gave along.
    public var headers: [String: String] { running.record.headers }
    /// The job as it was claimed.
    public var record: JobRecord { running.record }
    /// A logger that carries the job's id, name and attempt.
    public let logger: Logger
    /// When this attempt is cancelled for taking too long: the earlier of its timeout and the job's deadline, in
    /// store time; `nil` for no limit.
    public let deadline: Timestamp?

    let running: RunningJob
    let notes: NoteBook
    let store: any JobStore
    let clock: any ErrandClock
}

extension JobContext {
    /// Why the attempt is being cancelled; `nil` while it is not. `Task.isCancelled` is true from the same
    /// moment on.
    public var cancellationReason: CancellationReason? { running.cause.map(CancellationReason.init) }

    /// True once the worker was told to shut down, some time before it cancels what still runs: a loop can stop
    /// here at a good place and throw ``JobControl/snooze(for:)``.
    public var isShuttingDown: Bool { running.isDraining }

    /// Throws when the attempt should not go on; call it in loops that never suspend.
    /// - Throws: ``ErrandError`` with code `leaseLost` when somebody else holds the job, else
    ///   `CancellationError` when the attempt is being cancelled.
    public func checkLease() throws {
        switch running.cause {
        case nil: return
        case .leaseLost, .fenced:
            throw ErrandError(.leaseLost, "another worker may hold job \(id); stop without further effects")
        case .shutdown, .cancelled, .timeout: throw CancellationError()
        }
    }

    /// Says how far the job is. Kept in memory and written at most once a second with everything else that
    /// running jobs say; the last one before the end is always written.
    public func progress(_ fraction: Double, _ message: String = "") {
        notes.progress(fraction, message, by: running.lease)
    }

    /// Adds a line to the job's own log, for people who look at the job; also goes to ``logger``. Written like
    /// ``progress(_:_:)``; the newest 200 lines of a job are kept.
    public func log(_ message: String, level: Logger.Level = .info) {
        logger.log(level: level, "\(message)")
        notes.line(LogLine(at: clock.now, level: level.rawValue, message: message), by: running.lease)
    }

    /// Runs `body` once and keeps its value: when the job is tried again after a failure or a crash, the stored
    /// value is returned and `body` does not run. The value is stored before this returns.
    /// - Parameters:
    ///   - name: Unique within the job.
    ///   - body: What to do once. It may be repeated when the process dies before its value is stored.
    /// - Throws: What `body` throws; ``ErrandError`` with code `leaseLost` when the value could not be stored
    ///   because somebody else holds the job; ``/ErrandCore/StoreError``.
    public func step<Value: Codable & Sendable>(
        _ name: String,
        _ body: () async throws -> Value
    ) async throws -> Value {
        if let problem = NameRule.problem(with: name, what: "step name") { throw ErrandError(.invalidJob, problem) }
        if epoch > 1, let stored = try await store.jobs([id], parts: .checkpoints).first?.checkpoints[name] {
            return try PayloadCoder.decode(Value.self, from: stored)
        }
        let value = try await body()
        let note = LeaseNote(lease: running.lease, checkpoints: [name: try PayloadCoder.encode(value)])
        guard try await store.note([note]).first == true else {
            throw ErrandError(.leaseLost, "another worker holds job \(id); the value of '\(name)' was not stored")
        }
        return value
    }

    /// Ends the job as succeeded inside the application's own transaction: its end and the application's writes
    /// are one commit, which makes the effect in that database happen exactly once. Return normally afterwards.
    /// When the transaction rolls back, throw, and the attempt fails like any other.
    /// - Parameters:
    ///   - transaction: The application's own, on the database that holds the jobs.
    ///   - followUps: Jobs, from `JobClient.prepare`, that are stored exactly if the commit happens.
    /// - Throws: ``ErrandError`` with code `leaseLost` when somebody else holds the job: roll back.
    public func complete(in transaction: some StoreTransaction, followUps: [NewJob] = []) throws {
        try complete(result: nil, in: transaction, followUps: followUps)
    }

    /// The same with a result to keep.
    public func complete(
        _ result: some Encodable,
        in transaction: some StoreTransaction,
        followUps: [NewJob] = []
    ) throws {
        try complete(result: PayloadCoder.encode(result: result), in: transaction, followUps: followUps)
    }

    /// Ends the job in a transaction on an asynchronous connection, such as a `PostgresTransaction`.
    /// - Parameters:
    ///   - transaction: The application's own, on the database that holds the jobs.
    ///   - followUps: Jobs, from `JobClient.prepare`, that are stored exactly if the commit happens.
    /// - Throws: ``ErrandError`` with code `leaseLost` when somebody else holds the job: roll back.
    public func complete(in transaction: some AsyncStoreTransaction, followUps: [NewJob] = []) async throws {
        try await complete(result: nil, in: transaction, followUps: followUps)
    }

    /// The same with a result to keep.
    public func complete(
        _ result: some Encodable,
        in transaction: some AsyncStoreTransaction,
        followUps: [NewJob] = []
    ) async throws {
        try await complete(result: PayloadCoder.encode(result: result), in: transaction, followUps: followUps)
    }

    private func complete(
        result: Payload?,
        in transaction: some AsyncStoreTransaction,
        followUps: [NewJob]
    ) async throws {
        let settlement = Settlement(
            lease: running.lease,
            outcome: .succeeded(result: result),
            followUps: followUps
        )
        // Together with its end, because afterwards the store refuses it.
        if let note = notes.take(running.lease) { try await transaction.note(note, in: store) }
        guard case .applied = try await transaction.settle(settlement, in: store) else {
            throw ErrandError(.leaseLost, "another worker holds job \(id); roll the transaction back")
        }
        running.markCompleted()
    }

    private func complete(
        result: Payload?,
        in transaction: some StoreTransaction,
        followUps: [NewJob]
    ) throws {
        let settlement = Settlement(
            lease: running.lease,
            outcome: .succeeded(result: result),
            followUps: followUps
        )
        // Together with its end, because afterwards the store refuses it.
        if let note = notes.take(running.lease) { try transaction.note(note, in: store) }
        guard case .applied = try transaction.settle(settlement, in: store) else {
            throw ErrandError(.leaseLost, "another worker holds job \(id); roll the transaction back")
        }
        running.markCompleted()
    }
}
