// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension Scheduler {
    /// Runs it now, once for each token, whatever its ticks do and also while it is paused.
    /// - Parameters:
    ///   - id: Its name.
    ///   - token: Made by the caller, so that a double click or a repeated request is one run; remembered for
    ///     ``/ErrandCore/ScheduleRecord/kept``.
    ///   - reason: Why; kept in the audit.
    ///   - actor: Who.
    /// - Returns: The job; `nil` when the code that builds it said that there is nothing to do.
    /// - Throws: ``ErrandError`` with code `scheduleNotFound`, `invalidSchedule` or `invalidJob`; what building the job
    ///   threw; ``/ErrandCore/StoreError``.
    @discardableResult
    public func trigger(
        _ id: ScheduleID,
        token: String,
        reason: String = "",
        actor: String = "app"
    ) async throws -> JobID? {
        if let problem = NameRule.problem(with: token, what: "token") { throw ErrandError(.invalidSchedule, problem) }
        let key = TickKey.trigger(token)
        let answer = try await insist(on: id) { standing, now in
            let standing = try Self.need(standing, id)
            if try await !self.store.ticks(TickRequest(id, .keys([key]))).isEmpty { return nil }
            var planner = try await self.planner(standing, at: now)
            let line = AuditEntry.schedule(id, "trigger", actor: actor, reason: reason, at: now)
            return .plan(try planner.trigger(token: token), line)
        }
        var row = answer?.rows.first ?? nil
        if row == nil { row = try await store.ticks(TickRequest(id, .keys([key]))).first }
        if let row, row.decision == .refused { throw ErrandError(.invalidJob, row.note ?? "the store refused the job") }
        return row?.job
    }

    /// How a backfill runs.
    public struct BackfillOptions: Sendable, Hashable {
        /// How many of the schedule's jobs may be unfinished at once; 1, the default, runs one after another.
        public var width = 1
        /// Whether times that ran already run again; `false` by default, so that repeating a backfill does nothing.
        public var rerun = false
        /// The most nominal times; 10,000.
        public var limit = 10_000
        /// Whether it is only said what would run.
        public var isDryRun = false

        /// The defaults.
        public init() {}
    }

    /// Runs the nominal times that its rule has in a span, in order and without jitter: those whose job did not run.
    /// It may reach before the schedule was made. The work is done by the schedulers that run, and the ticks go on.
    /// - Parameters:
    ///   - id: Its name.
    ///   - span: The span; its end is not part of it.
    ///   - token: Made by the caller. One that is under way is not begun again.
    ///   - options: How it runs.
    ///   - reason: Why; kept in the audit.
    ///   - actor: Who.
    /// - Returns: The nominal times of the span that run.
    /// - Throws: ``ErrandError`` with code `scheduleNotFound`, or `invalidSchedule` for more times than the limit;
    ///   ``/ErrandCore/StoreError``.
    @discardableResult
    public func backfill(
        _ id: ScheduleID,
        _ span: Range<Timestamp>,
        token: String,
        options: BackfillOptions = BackfillOptions(),
        reason: String = "",
        actor: String = "app"
    ) async throws -> [Timestamp] {
        if let problem = NameRule.problem(with: token, what: "token") { throw ErrandError(.invalidSchedule, problem) }
        guard options.width >= 1 else {
            throw ErrandError(.invalidSchedule, "a backfill of width \(options.width) runs nothing; use at least 1")
        }
        let standing = try Self.need(try await store.schedules(.ids([id])).schedules.first, id)
        let rule = try rules.rule(of: standing.record.trigger, for: id)
        guard rule.delayAfterCompletion == nil else {
            throw ErrandError(.invalidSchedule, "\(id) runs after each completion, so it has no times in the past")
        }
        let times = try await toRun(rule, id, span, options)
        guard !options.isDryRun, !times.isEmpty else { return times }
        _ = try await insist(on: id) { standing, now in
            let standing = try Self.need(standing, id)
            if standing.record.backfills.contains(where: { $0.token == token }) { return nil }
            guard standing.record.backfills.count < 100 else {
                throw ErrandError(.scheduleConflict, "\(id) has 100 backfills to do; wait for them")
            }
            let backfill = ScheduleBackfill(
                token: token,
                position: span.lowerBound - .microseconds(1),
                end: span.upperBound,
                width: options.width,
                isRerun: options.rerun
            )
            var planner = try await self.planner(standing, at: now)
            let line = AuditEntry.schedule(id, "backfill", actor: actor, reason: reason, at: now)
            return .plan(planner.backfill(backfill), line)
        }
        return times
    }

    private func toRun(
        _ rule: ScheduleRule,
        _ id: ScheduleID,
        _ span: Range<Timestamp>,
        _ options: BackfillOptions
    ) async throws -> [Timestamp] {
        var times: [Timestamp] = []
        var from = span.lowerBound - .microseconds(1)
        while let next = rule.next(after: from), next < span.upperBound {
            guard times.count < options.limit else {
                throw ErrandError(
                    .invalidSchedule,
                    "the span has more than \(options.limit) times; choose a shorter one or raise the limit"
                )
            }
            times.append(next)
            from = next
        }
        guard !options.rerun else { return times }
        var ran: Set<TickKey> = []
        for start in stride(from: 0, to: times.count, by: 500) {
            let keys = times[start..<min(start + 500, times.count)].map(TickKey.tick)
            let rows = try await store.ticks(TickRequest(id, .keys(keys), limit: keys.count))
            ran.formUnion(rows.filter(\.decision.isRun).map(\.key))
        }
        return times.filter { !ran.contains(.tick($0)) }
    }
}
