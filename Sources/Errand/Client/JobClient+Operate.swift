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
        try await operate(.edit(edit), on: ids, reason: reason, actor: actor)
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
}
