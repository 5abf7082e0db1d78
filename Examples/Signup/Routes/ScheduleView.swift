// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// A schedule as clients see it.
struct ScheduleView: Encodable {
    struct Time: Encodable {
        let at: String
        let local: String
        let notes: [String]
    }

    struct Pause: Encodable {
        let note: String
        let actor: String
        let since: String
    }

    struct Decision: Encodable {
        let at: String
        let through: String?
        let count: Int
        let kind: String
        let decision: String
        let decidedAt: String
        let job: JobID?
        let note: String?
    }

    let id: String
    let source: String
    let state: String
    /// The rule in plain English.
    let rule: String
    let next: [Time]
    let pause: Pause?
    /// Why it is broken.
    let reason: String?
    let runs: Int
    let lagSeconds: Double?
    let recent: [Decision]?

    /// A schedule of a list, with its next three times from now.
    init(_ record: ScheduleRecord, now: Timestamp) {
        let isRunning = record.state == .active || record.state == .broken
        let rule = try? record.trigger.rule(for: record.id.rawValue)
        self.init(
            record,
            words: rule?.describe() ?? record.reason ?? "",
            upcoming: isRunning ? rule?.preview(3, after: now) ?? [] : []
        )
    }

    /// All there is to say about one.
    init(_ status: ScheduleStatus) {
        self.init(
            status.record,
            words: status.words,
            upcoming: status.upcoming,
            lag: status.lag,
            recent: status.recent
        )
    }

    private init(
        _ record: ScheduleRecord,
        words: String,
        upcoming: [PlannedTick],
        lag: Duration? = nil,
        recent: [TickRecord]? = nil
    ) {
        id = record.id.rawValue
        source = record.source.rawValue
        state = record.state.rawValue
        rule = words
        next = upcoming.map { Time(at: $0.nominal.text, local: $0.local, notes: $0.notes) }
        pause = record.pause.map { Pause(note: $0.note, actor: $0.actor, since: $0.since.text) }
        reason = record.reason
        runs = record.runs
        lagSeconds = lag.map { $0 / .seconds(1) }
        self.recent = recent?.map(Self.decision)
    }

    private static func decision(_ row: TickRecord) -> Decision {
        Decision(
            at: row.nominal.text,
            through: row.through > row.nominal ? row.through.text : nil,
            count: row.count,
            kind: row.kind.rawValue,
            decision: row.decision.rawValue,
            decidedAt: row.decidedAt.text,
            job: row.job,
            note: row.note
        )
    }
}
