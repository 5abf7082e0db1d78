// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Where jobs live. Implement this and pass the conformance suite of ErrandTesting to add an engine.
///
/// Rules for every call:
/// - It is atomic: all of it happens or none, except where the answer is per item, and then each item is.
/// - It throws only ``StoreError``, with ``StoreError/Code/outcomeUnknown`` when the write may have happened.
/// - It is safe for concurrent use and does not depend on a free thread of the cooperative pool: the worker's
///   heartbeat runs it on a thread of its own while that pool may be starved.
/// - It runs to its end although the calling task is cancelled.
/// - Time is the store's: durations go in, instants come out.
/// - Nothing is published to ``hub`` before the commit.
///
/// The decisions about a row are in ErrandCore's `Decisions` folder; an engine reads, applies them and writes,
/// or does the same in a statement that the conformance suite compares.
public protocol JobStore: Sendable {
    /// Wake-up signals and local offers of this store in this process.
    var hub: LocalHub { get }

    /// What the store is and can promise. Called at start and by health pages; must not fail when the engine
    /// is down but describe what it last knew.
    func describe() async -> StoreDescription

    /// Waits for calls under way and releases everything. Later calls throw ``StoreError/Code/closed``.
    func close() async throws

    // MARK: Insert

    /// Stores jobs. Called by the enqueue batcher with 1 to some thousand jobs at a time.
    ///
    /// Answers per job, in order. A job whose id is already stored is answered `stored` and not changed, so
    /// repeating a call is safe. With an offer, jobs that fit it are stored `running` and answered `claimed`.
    /// A batch with a refused job stores the others.
    func insert(_ jobs: [NewJob], offer: ClaimOffer?) async throws -> [InsertAnswer]

    // MARK: Claim

    /// Makes a worker known before its first claim; repeating it is harmless. Jobs of workers that are
    /// certainly dead are rescued in the same call.
    func register(_ worker: WorkerRegistration) async throws -> MaintenanceReport

    /// Removes a worker that stopped. Jobs it still holds are given back without a crash.
    func retire(_ worker: WorkerID) async throws

    /// Makes due jobs ready, then claims ready ones by rank: known names and versions only, not paused, not
    /// held, not late (those become `expired`). Cost must not grow with rows that cannot be claimed.
    func claim(_ request: ClaimRequest) async throws -> ClaimAnswer

    /// Keeps a worker alive; every 5 s per worker. See ``Beat`` and ``BeatAnswer``.
    func beat(_ beat: Beat) async throws -> BeatAnswer

    // MARK: Settle

    /// Ends attempts. Answers per item, in order; each is fenced by its lease.
    func settle(_ settlements: [Settlement]) async throws -> [SettleAnswer]

    /// Writes progress, log lines and checkpoints of running jobs; fenced. Answers per item whether it held.
    func note(_ notes: [LeaseNote]) async throws -> [Bool]

    // MARK: Inspect

    /// Reads jobs by id; unknown ids are missing from the answer, the order is that of the request.
    func jobs(_ ids: [JobID], parts: JobParts) async throws -> [JobRecord]

    /// Reads a page of jobs, newest id first, without payloads.
    func list(_ filter: JobFilter, page: JobPageRequest) async throws -> JobPage

    /// Counts what a filter means, up to a limit.
    func count(_ filter: JobFilter, limit: Int) async throws -> BoundedCount

    /// Exact counts by queue, name and state, kept up to date by every write; never a scan.
    func counts() async throws -> JobCounts

    /// Reads the per-minute counters.
    func series(_ request: SeriesRequest) async throws -> [SeriesPoint]

    /// The workers that the store knows, by start time.
    func workers() async throws -> [WorkerRecord]

    /// The pauses that hold now.
    func pauses() async throws -> [Pause]

    /// The newest lines of the audit, newest first, at most `limit`.
    func audit(limit: Int) async throws -> [AuditEntry]

    // MARK: Maintain

    /// Changes controls, each with its audit row.
    func setControls(_ changes: [ControlChange]) async throws

    /// Carries out an operator's change.
    func operate(_ operation: Operation) async throws -> OperationReport

    /// Does one bite of maintenance.
    func maintain(_ task: MaintenanceTask) async throws -> MaintenanceReport

    // MARK: Schedule

    /// Reads schedules as they stand, with the state of the jobs that each may wait for. Cost must not grow with
    /// schedules that are not asked for.
    func schedules(_ request: ScheduleRequest) async throws -> ScheduleAnswer

    /// Changes schedules: each change with its decisions, their jobs and its line of the audit, or not at all. Answers
    /// per change, in order; a change of a schedule that is not as its maker saw it is ``ScheduleChangeAnswer/stale``.
    ///
    /// Within a change, an entry whose key is taken is left out, unless it replaces the row; jobs are stored as
    /// ``insert(_:offer:)`` stores them, and a row says what became of its job. Publishes ``StoreSignal/controls`` for
    /// changes that say so.
    func changeSchedules(_ changes: [ScheduleChange]) async throws -> [ScheduleChangeAnswer]

    /// Reads decisions, which are kept for ``ScheduleRecord/kept`` and then deleted by ``MaintenanceTask/sweep``.
    func ticks(_ request: TickRequest) async throws -> [TickRecord]

    // MARK: Move

    /// Lets a batch of jobs go to another store: takes them out of everything that claims, lists, counts or looks after
    /// jobs, and keeps the batch until ``endExport(_:as:)``. Called by whoever moves jobs, one batch after the other.
    ///
    /// A store has at most one open batch. While one is open, every export answers with that batch, whatever it asks
    /// for; when it names another destination, it throws ``StoreError/Code/conflict``. `running` jobs stay; so does a
    /// follow-up whose holder runs, while one whose holder goes is right behind it in the batch. An answer may hold no
    /// jobs and still say where to go on, because a call looks at a bounded number of rows.
    ///
    /// The ids of the jobs are remembered for ``ExportBatch/departuresKept``: until then ``insert(_:offer:)`` answers
    /// `stored` to a repeat and stores nothing.
    func export(_ request: ExportRequest) async throws -> ExportBatch

    /// Takes in a batch that another store let go, once: a batch whose id was taken in during the last
    /// ``ExportBatch/importsKept`` is answered with ``ImportAnswer/isRepeat`` and changes nothing.
    ///
    /// Rows are stored as their records say and nothing of them is decided anew; a job whose id is there already is
    /// left alone. Nothing is counted in the series but what the batch brings.
    /// - Throws: ``StoreError/Code/invalid`` for a running job, and when the batch is this store's own.
    func `import`(_ batch: ExportBatch) async throws -> ImportAnswer

    /// Says how the open batch ended: forgets it, or puts its jobs back. Does nothing when another batch is open, or
    /// none, so repeating it is safe.
    func endExport(_ id: ExportID, as end: ExportEnd) async throws
}

/// Stores that keep no schedules, or that jobs are not moved from or to, need not say so.
extension JobStore {
    /// Throws ``StoreError/Code/unsupported``.
    public func schedules(_ request: ScheduleRequest) async throws -> ScheduleAnswer {
        throw StoreError.keepsNoSchedules
    }

    /// Throws ``StoreError/Code/unsupported``.
    public func changeSchedules(_ changes: [ScheduleChange]) async throws -> [ScheduleChangeAnswer] {
        throw StoreError.keepsNoSchedules
    }

    /// Throws ``StoreError/Code/unsupported``.
    public func ticks(_ request: TickRequest) async throws -> [TickRecord] { throw StoreError.keepsNoSchedules }

    /// Throws ``StoreError/Code/unsupported``.
    public func export(_ request: ExportRequest) async throws -> ExportBatch { throw StoreError.cannotMove }

    /// Throws ``StoreError/Code/unsupported``.
    public func `import`(_ batch: ExportBatch) async throws -> ImportAnswer { throw StoreError.cannotMove }

    /// Throws ``StoreError/Code/unsupported``.
    public func endExport(_ id: ExportID, as end: ExportEnd) async throws { throw StoreError.cannotMove }
}

extension StoreError {
    fileprivate static let keepsNoSchedules = StoreError(
        .unsupported,
        "this store keeps no schedules; use another engine"
    )
    fileprivate static let cannotMove = StoreError(.unsupported, "this store cannot move jobs; use another engine")
}
