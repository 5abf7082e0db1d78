// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

/// All there is to say about a schedule.
public struct ScheduleStatus: Sendable {
    /// The schedule as the store keeps it.
    public var record: ScheduleRecord
    /// The rule in plain English, or why it is none.
    public var words: String
    /// Its next times, at most ten; none while it is paused for good, complete or retired.
    public var upcoming: [PlannedTick]
    /// Its newest decisions, newest first, at most ten.
    public var recent: [TickRecord]
    /// How long its oldest undecided tick has been due; zero when there is none.
    public var lag: Duration
    /// How the schedule differs from what its program declares; empty when it does not.
    public var drift: [String]
}

extension Scheduler {
    /// A page of schedules, by name.
    /// - Parameters:
    ///   - last: The one behind which the page begins.
    ///   - limit: The most schedules.
    /// - Throws: ``/ErrandCore/StoreError``.
    public func schedules(after last: ScheduleID? = nil, limit: Int = 100) async throws -> [ScheduleRecord] {
        try await store.schedules(.page(after: last, limit: min(max(limit, 1), 1000))).schedules.map(\.record)
    }

    /// All there is to say about one schedule; `nil` when there is none of this name.
    /// - Throws: ``/ErrandCore/StoreError``.
    public func status(of id: ScheduleID) async throws -> ScheduleStatus? {
        let answer = try await store.schedules(.ids([id]))
        guard let record = answer.schedules.first?.record else { return nil }
        let span = Timestamp(microseconds: .min)...Timestamp(microseconds: .max)
        let recent = try await store.ticks(TickRequest(id, .span(span, after: nil), limit: 10))
        var status = ScheduleStatus(record: record, words: "", upcoming: [], recent: recent, lag: .zero, drift: [])
        if record.override != nil { status.drift.append("an operator's trigger takes the place of the program's") }
        if record.state == .paused { status.drift.append("paused: \(record.pause?.note ?? "")") }
        do throws(TriggerError) {
            let rule = try rules.rule(of: record.trigger, for: id)
            status.words = rule.describe()
            let isRunning = record.state == .active || record.state == .broken
            guard isRunning || record.pause?.until != nil, rule.delayAfterCompletion == nil else { return status }
            let from = max(answer.at, record.state == .paused ? record.pause?.until ?? answer.at : answer.at)
            status.upcoming = rule.preview(10, after: from)
            if isRunning, let oldest = rule.next(after: record.cursor) { status.lag = max(answer.at - oldest, .zero) }
        } catch {
            status.words = error.message
        }
        return status
    }

    /// The decisions on a schedule's ticks in a span of nominal times, newest first: what became of each, and why.
    /// - Parameters:
    ///   - id: Its name.
    ///   - span: The span.
    ///   - last: The row behind which the answer begins.
    ///   - limit: The most rows, 1 to 1,000.
    /// - Throws: ``/ErrandCore/StoreError``.
    public func decisions(
        of id: ScheduleID,
        in span: ClosedRange<Timestamp>,
        after last: TickRecord? = nil,
        limit: Int = 100
    ) async throws -> [TickRecord] {
        try await store.ticks(TickRequest(id, .span(span, after: last), limit: min(limit, 1000)))
    }
}
