// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension JobClient {
    /// Carries out a change on all jobs that a filter means and that were stored before this call, in bites of
    /// 1,000, each one commit.
    /// - Parameters:
    ///   - action: What is done to each job.
    ///   - filter: Which jobs.
    ///   - reason: Why; kept in the audit.
    ///   - actor: Who; the client's ``JobClientConfiguration/actor`` when `nil`.
    ///   - idempotencyKey: Repeating the call with the same key within a day answers the same and changes nothing
    ///     twice; a call that was cut off between two bites goes on where it stopped.
    ///   - isDryRun: Only say what would be done.
    /// - Throws: ``ErrandError`` with code `invalidJob` for an edit to a payload that is too large;
    ///   ``/ErrandCore/StoreError``.
    @discardableResult
    public func operate(
        _ action: Operation.Action,
        matching filter: JobFilter,
        reason: String,
        actor: String? = nil,
        idempotencyKey: String? = nil,
        isDryRun: Bool = false
    ) async throws -> OperationReport {
        try check(action)
        var fenced = filter
        fenced.createdBefore = min(filter.createdBefore ?? .distantFuture, clock.now + .microseconds(1))
        var total = OperationReport()
        var bite = 0
        repeat {
            bite += 1
            let report = try await store.operate(
                Operation(
                    action,
                    on: .filter(fenced, after: total.next),
                    actor: actor ?? configuration.actor,
                    reason: reason,
                    // Each bite is an operation of its own to the store, so each needs a key of its own.
                    idempotencyKey: idempotencyKey.map { "\($0)#\(bite)" },
                    isDryRun: isDryRun
                )
            )
            total.changed += report.changed
            total.unchanged += report.unchanged
            total.refused.merge(report.refused) { _, new in new }
            total.next = report.next
        } while total.next != nil
        return total
    }

    /// Carries out a change on these jobs, in one commit. The same as the methods named after the actions, for
    /// callers that may have to repeat themselves or want to look first.
    /// - Parameters:
    ///   - action: What is done to each job.
    ///   - ids: Which jobs; the report names those that are not there.
    ///   - reason: Why; kept in the audit.
    ///   - actor: Who; the client's ``JobClientConfiguration/actor`` when `nil`.
    ///   - idempotencyKey: Repeating the call with the same key within a day answers the same and changes nothing.
    ///   - isDryRun: Only say what would be done.
    /// - Throws: ``ErrandError`` with code `invalidJob` for an edit to a payload that is too large;
    ///   ``/ErrandCore/StoreError``.
    @discardableResult
    public func operate(
        _ action: Operation.Action,
        on ids: [JobID],
        reason: String,
        actor: String? = nil,
        idempotencyKey: String? = nil,
        isDryRun: Bool = false
    ) async throws -> OperationReport {
        try check(action)
        return try await store.operate(
            Operation(
                action,
                on: .ids(ids),
                actor: actor ?? configuration.actor,
                reason: reason,
                limit: max(ids.count, 1),
                idempotencyKey: idempotencyKey,
                isDryRun: isDryRun
            )
        )
    }

    /// A store takes payloads of any size, so their limit is kept here on every road.
    private func check(_ action: Operation.Action) throws {
        switch action {
        case .edit(let edit), .editAndRetry(let edit):
            guard let payload = edit.payload, payload.bytes.count > configuration.payloadLimit else { return }
            throw ErrandError(
                .invalidJob,
                "the new payload has \(payload.bytes.count) bytes; the limit is \(configuration.payloadLimit): "
                    + "store the data elsewhere and put a reference to it into the job"
            )
        case .cancel, .retry, .delete, .hold, .release: return
        }
    }
}
