// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

/// Moves the jobs of one store to another while both are in use.
///
/// ```swift
/// let transfer = StoreTransfer(from: sqlite, to: postgres)
/// let report = try await transfer.run()
/// ```
///
/// Jobs go in batches. Each batch is taken out of the source in one commit, which keeps it as a whole; taken in by the
/// destination in one commit, once, whoever brings it how often; and then forgotten by the source. So a job is in
/// exactly one place at any moment and never runs in both. Jobs that run stay where they are until their attempt has
/// ended. Whatever dies in between, the next ``run(onBatch:)`` goes on with the batch that was left, and several
/// transfers at once do no harm.
///
/// What moves: every job with its id, state, counts, times, epoch, revision, hold, priority, unique key, labels, payload,
/// result, attempts, log and checkpoints; unique keys that outlived their jobs; the audit; the counters per minute.
/// Pauses are copied. Workers are not moved: start them on the destination when you like, before, meanwhile or after.
public struct StoreTransfer: Sendable {
    let source: any JobStore
    let destination: any JobStore
    let configuration: StoreTransferConfiguration
    let clock: any ErrandClock
    let chance: Chance

    /// A transfer; nothing happens before ``run(onBatch:)``.
    /// - Parameters:
    ///   - source: Where the jobs are.
    ///   - destination: Where they go.
    ///   - configuration: How large the bites are and how long an outage is waited for.
    ///   - clock: Measures waits and dates the ids of batches.
    ///   - chance: Makes the ids of batches.
    public init(
        from source: any JobStore,
        to destination: any JobStore,
        configuration: StoreTransferConfiguration = StoreTransferConfiguration(),
        clock: any ErrandClock = SystemClock.shared,
        chance: Chance = .system
    ) {
        self.source = source
        self.destination = destination
        self.configuration = configuration
        self.clock = clock
        self.chance = chance
    }

    /// Moves everything, and returns when the source has nothing left to move: work that waits first, then the history,
    /// and jobs that run when they have ended. What clients go on enqueueing into the source comes along.
    /// - Parameter onBatch: Told after each batch what was done so far.
    /// - Returns: What was done. ``StoreTransferReport/left`` is not 0 when the source has rows that its engine cannot
    ///   read: they stay.
    /// - Throws: ``/ErrandCore/StoreError``: `invalid` when both are one store, `conflict` when a batch of this source is on
    ///   its way to another destination, and whatever is left of an outage after
    ///   ``StoreTransferConfiguration/patience``; `CancellationError` between two batches.
    @discardableResult
    public func run(
        onBatch: @Sendable (StoreTransferReport) -> Void = { _ in }
    ) async throws -> StoreTransferReport {
        var report = StoreTransferReport()
        try await copyPauses()
        while true {
            let before = report.jobs
            try await move(.pending, &report, onBatch)
            try await move(.finished, &report, onBatch)
            let counts = try await patiently { try await source.counts() }
            report.left = counts.count()
            if report.left == 0 || (report.jobs == before && counts.count(.running) == 0) { break }
            if report.jobs == before { try await clock.sleep(for: configuration.pollInterval) }
        }
        try await move(.records, &report, onBatch)
        return report
    }

    /// Moves what can be moved now, and does not wait for jobs that run: ``StoreTransferReport/left`` counts them.
    /// - Throws: As ``run(onBatch:)``.
    @discardableResult
    public func pass(
        onBatch: @Sendable (StoreTransferReport) -> Void = { _ in }
    ) async throws -> StoreTransferReport {
        var report = StoreTransferReport()
        try await copyPauses()
        try await move(.pending, &report, onBatch)
        try await move(.finished, &report, onBatch)
        report.left = try await patiently { try await source.counts().count() }
        return report
    }

    /// Gives a move up that stopped half-way: a batch that is on its way arrives, if the destination has it, or goes
    /// back into the source, and then the destination will never take it. Jobs that moved before stay where they are.
    /// - Returns: Whether jobs went back.
    /// - Throws: As ``run(onBatch:)``; the destination has to be reachable, because it alone knows whether it has the
    ///   batch.
    @discardableResult
    public func cancel() async throws -> Bool {
        let name = try await destinationName()
        var request = request(.pending, to: name)
        request.limit = 1
        let batch = try await export(request)
        guard !batch.isEmpty else { return false }
        // An empty batch under the same id: should the real one come later, it is a repeat.
        let nothing = ExportBatch(id: batch.id, destination: name)
        let answer = try await patiently { try await destination.import(nothing) }
        try await patiently { try await source.endExport(batch.id, as: answer.isRepeat ? .arrived : .returned) }
        return !answer.isRepeat
    }
}

extension StoreTransfer {
    private func move(
        _ part: ExportRequest.Part,
        _ report: inout StoreTransferReport,
        _ onBatch: @Sendable (StoreTransferReport) -> Void
    ) async throws {
        var request = request(part, to: try await destinationName())
        while true {
            try Task.checkCancellation()
            let batch = try await export(request)
            if !batch.isEmpty {
                let answer = try await patiently { try await destination.import(batch) }
                try await patiently { try await source.endExport(batch.id, as: .arrived) }
                report.add(batch, answer)
                onBatch(report)
            }
            // What an earlier transfer left says nothing about where this part goes on.
            let isOwn = batch.id == request.id
            if isOwn && batch.next == nil { return }
            if isOwn { request.after = batch.next }
            request.id = newID()
        }
    }

    /// Pauses go first: what stands still in the source must not start in the destination.
    private func copyPauses() async throws {
        let name = try await destinationName()
        let pauses = try await patiently { try await source.pauses() }
        guard !pauses.isEmpty else { return }
        let batch = ExportBatch(id: newID(), destination: name, pauses: pauses)
        _ = try await patiently { try await destination.import(batch) }
    }

    private func export(_ request: ExportRequest) async throws -> ExportBatch {
        try await patiently { try await source.export(request) }
    }

    private func request(_ part: ExportRequest.Part, to name: String) -> ExportRequest {
        ExportRequest(
            id: newID(),
            destination: name,
            part: part,
            limit: configuration.batchLimit,
            byteLimit: configuration.byteLimit
        )
    }

    private func destinationName() async throws -> String {
        guard source.hub !== destination.hub else {
            throw StoreError(.invalid, "jobs cannot be moved from a store to itself; name another destination")
        }
        if let name = configuration.destinationName { return name }
        return await destination.describe().engine
    }

    private func newID() -> ExportID {
        let now = clock.now
        return chance.draw { ExportID(at: now, using: &$0) }
    }

    /// All calls of a move are safe to repeat, also when nobody knows whether one had its effect.
    private func patiently<Answer: Sendable>(_ call: () async throws -> Answer) async throws -> Answer {
        let giveUpAt = clock.uptime + configuration.patience
        var wait: Duration = .milliseconds(100)
        while true {
            do {
                return try await call()
            } catch let error as StoreError where error.isTransient && clock.uptime + wait <= giveUpAt {
                try await clock.sleep(for: wait)
                wait = min(wait * 2, .seconds(5))
            }
        }
    }
}
