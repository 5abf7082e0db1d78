// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// A change of a schedule, with the text that its row will hold.
struct ScheduleDraft: Sendable {
    var change: ScheduleChange
    var row: ScheduleRow?

    init(_ change: ScheduleChange) throws(StoreError) {
        self.change = change
        if let record = change.record { row = ScheduleRow(record: record, body: try record.body()) }
    }
}

/// A schedule and its row's text.
struct ScheduleRow: Sendable {
    var record: ScheduleRecord
    var body: String
}

/// Where a decision is kept.
struct TickPlace: Hashable {
    var schedule: ScheduleID
    var key: TickKey

    init(_ schedule: ScheduleID, _ key: TickKey) { (self.schedule, self.key) = (schedule, key) }

    init(_ row: TickRecord) { self.init(row.schedule, row.key) }
}

/// What the changes of a call come to, given what is stored: a pure value, so that all of it is written by a handful of
/// statements.
struct PostgresSchedulePlan {
    /// What is stored of each schedule in the end; `nil` for one that is deleted.
    private(set) var after: [ScheduleID: ScheduleRow?] = [:]
    /// The lines of the audit, in order.
    private(set) var audit: [AuditEntry] = []
    private(set) var wakesSchedulers = false
    /// The rows of each change; `nil` for one that is stale.
    private var rows: [[TickRecord?]?] = []
    /// Where the entries that are written stand, and their jobs.
    private var written: [(change: Int, entry: Int, job: NewJob?)] = []

    /// - Parameters:
    ///   - versions: The versions of the schedules that are there.
    ///   - taken: The places of ``places(of:)`` that have a decision.
    init(_ drafts: [ScheduleDraft], versions: [ScheduleID: Int64], taken: Set<TickPlace>) {
        var (versions, taken) = (versions, taken)
        for (index, draft) in drafts.enumerated() {
            let change = draft.change
            guard versions[change.id, default: 0] == change.expected else {
                rows.append(nil)
                continue
            }
            rows.append(change.entries.map { Optional($0.row) })
            for (place, entry) in change.entries.enumerated() {
                if taken.insert(TickPlace(entry.row)).inserted || entry.replaces {
                    written.append((index, place, entry.job))
                } else {
                    rows[index]?[place] = nil
                }
            }
            versions[change.id] = change.record?.version
            after.updateValue(draft.row, forKey: change.id)
            if let line = change.audit { audit.append(line) }
            wakesSchedulers = wakesSchedulers || change.wakesSchedulers
        }
    }

    /// The places that must be free for the entries that replace nothing.
    static func places(of drafts: [ScheduleDraft]) -> [TickPlace] {
        Array(Set(drafts.flatMap { $0.change.entries.filter { !$0.replaces }.map { TickPlace($0.row) } }))
    }

    /// The jobs to store, in order.
    var jobs: [NewJob] { written.compactMap(\.job) }

    /// Takes in what became of ``jobs``.
    mutating func note(_ answers: [InsertAnswer]) {
        for (place, answer) in zip(written.filter { $0.job != nil }, answers) {
            guard let row = rows[place.change]?[place.entry] else { continue }
            rows[place.change]?[place.entry] = row.answered(answer)
        }
    }

    /// The decisions to write, each place once.
    var ticks: [TickRecord] {
        var last: [TickPlace: Int] = [:]
        let all = written.compactMap { rows[$0.change]?[$0.entry] }
        for (index, row) in all.enumerated() { last[TickPlace(row)] = index }
        return last.values.sorted().map { all[$0] }
    }

    var answers: [ScheduleChangeAnswer] { rows.map { $0.map(ScheduleChangeAnswer.stored) ?? .stale } }
}
