// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension JobClient {
    /// Cancels jobs: pending ones at once, running ones by a durable request that their worker obeys, also after
    /// a restart of everything. Cancelling twice is harmless.
    @discardableResult
    public func cancel(_ ids: [JobID], reason: String, actor: String? = nil) async throws -> OperationReport {
        try await operate(.cancel, on: ids, reason: reason, actor: actor)
    }

    /// Cancels all jobs that a filter means and that were stored before this call.
    @discardableResult
    public func cancel(
        matching filter: JobFilter,
        reason: String,
        actor: String? = nil
    ) async throws -> OperationReport {
        try await operate(.cancel, matching: filter, reason: reason, actor: actor)
    }

    /// Runs jobs again: final ones in a new run with a clean count, waiting ones now.
    /// - Parameters:
    ///   - ids: Which jobs; the report names those that are not there.
    ///   - spread: Several jobs start evenly over this time, so that a retry of many is not a stampede.
    ///   - reason: Why; kept in the audit.
    ///   - actor: Who; the client's ``JobClientConfiguration/actor`` when `nil`.
    @discardableResult
    public func retry(
        _ ids: [JobID],
        spread: Duration = .zero,
        reason: String,
        actor: String? = nil
    ) async throws -> OperationReport {
        try await operate(.retry(spread: spread), on: ids, reason: reason, actor: actor)
    }

    /// Runs a job again with other arguments, in one act.
    /// - Parameters:
    ///   - id: Which job.
    ///   - job: The new arguments.
    ///   - expectedRevision: Refuse when somebody changed the job since it was read.
    ///   - reason: Why; kept in the audit.
    ///   - actor: Who; the client's ``JobClientConfiguration/actor`` when `nil`.
    @discardableResult
    public func retry<J: Job>(
        _ id: JobID,
        with job: J,
        expectedRevision: Int? = nil,
        reason: String,
        actor: String? = nil
    ) async throws -> OperationReport {
        let edit = JobEdit(payload: try prepare(job).payload, expectedRevision: expectedRevision)
        return try await operate(.editAndRetry(edit), on: [id], reason: reason, actor: actor)
    }

    /// Changes jobs that nobody runs.
    @discardableResult
    public func edit(
        _ ids: [JobID],
        _ edit: JobEdit,
        reason: String,
        actor: String? = nil
    ) async throws -> OperationReport {
        if let payload = edit.payload, payload.bytes.count > configuration.payloadLimit {
            throw ErrandError(
                .invalidJob,
                "the new payload has \(payload.bytes.count) bytes; the limit is \(configuration.payloadLimit)"
            )
        }
        return try await operate(.edit(edit), on: ids, reason: reason, actor: actor)
    }

    /// Deletes jobs that nobody runs, with all that is kept about them.
    @discardableResult
    public func delete(_ ids: [JobID], reason: String, actor: String? = nil) async throws -> OperationReport {
        try await operate(.delete, on: ids, reason: reason, actor: actor)
    }

    /// Sets pending jobs aside: they keep state, time, priority and attempts, but do not start.
    /// - Parameters:
    ///   - ids: Which jobs.
    ///   - lasting: Released by themselves after this long; `nil` for never.
    ///   - reason: Why; kept with the job and in the audit.
    ///   - actor: Who; the client's ``JobClientConfiguration/actor`` when `nil`.
    @discardableResult
    public func hold(
        _ ids: [JobID],
        lasting: Duration? = nil,
        reason: String,
        actor: String? = nil
    ) async throws -> OperationReport {
        try await operate(.hold(lasting: lasting), on: ids, reason: reason, actor: actor)
    }

    /// Lets held jobs go on from where they were.
    @discardableResult
    public func release(_ ids: [JobID], reason: String, actor: String? = nil) async throws -> OperationReport {
        try await operate(.release, on: ids, reason: reason, actor: actor)
    }

    /// Carries out a change on all jobs that a filter means and that were stored before this call, in bites of
    /// 1,000, each one commit.
    @discardableResult
    public func operate(
        _ action: Operation.Action,
        matching filter: JobFilter,
        reason: String,
        actor: String? = nil
    ) async throws -> OperationReport {
        var fenced = filter
        fenced.createdBefore = min(filter.createdBefore ?? .distantFuture, clock.now + .microseconds(1))
        var total = OperationReport()
        repeat {
            let selection = Operation.Selection.filter(fenced, after: total.next)
            let report = try await store.operate(
                Operation(action, on: selection, actor: actor ?? configuration.actor, reason: reason)
            )
            total.changed += report.changed
            total.unchanged += report.unchanged
            total.refused.merge(report.refused) { _, new in new }
            total.next = report.next
        } while total.next != nil
        return total
    }

    private func operate(
        _ action: Operation.Action,
        on ids: [JobID],
        reason: String,
        actor: String?
    ) async throws -> OperationReport {
        try await store.operate(
            Operation(
                action,
                on: .ids(ids),
                actor: actor ?? configuration.actor,
                reason: reason,
                limit: max(ids.count, 1)
            )
        )
    }
}
