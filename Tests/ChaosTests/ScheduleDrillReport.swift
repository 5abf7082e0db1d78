// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// What a drill of schedules that fire every second came to: the decisions and jobs that the store kept, against the
/// seconds that there were.
struct ScheduleDrillReport: Sendable, CustomStringConvertible {
    let store: String
    let mode: String
    let seconds: Int
    let processes: Int
    let schedules: Int
    let seed: UInt64

    /// Whole seconds of every schedule from its beginning to the end.
    private(set) var expected = 0
    /// Those that have a decision, and their job where the decision is that they have one.
    private(set) var found = 0
    /// Decisions and jobs beyond the first of a tick.
    private(set) var duplicates = 0
    /// Ticks without a decision, and decisions whose job is not stored.
    private(set) var misses = 0
    /// Ticks that were decided to have no job: found, but not run.
    private(set) var withoutJob = 0
    /// What should not be there, by what it is.
    private(set) var strange: [String: Int] = [:]
    /// The longest time from a tick to its decision.
    private(set) var latest: Duration = .zero
    /// How processes ended that did not end well.
    var ends: [Int32] = []

    /// The jobs that decisions name and that were not seen yet.
    private var awaited: [JobID: Place] = [:]
    private var jobs: Set<Place> = []

    private struct Place: Hashable {
        let schedule: ScheduleID
        let nominal: Timestamp
    }

    init(store: String, drill: ScheduleDrill) {
        (self.store, mode, seed) = (store, drill.mode.rawValue, drill.seed)
        (seconds, processes, schedules) = (drill.seconds, drill.processes, drill.schedules)
    }

    /// Whether every tick has exactly one decision and one job, and there is nothing else.
    var isClean: Bool {
        found == expected && duplicates == 0 && misses == 0 && withoutJob == 0 && strange.isEmpty && ends.isEmpty
    }

    var description: String {
        var line =
            "\(store), \(mode), \(seconds) s, \(processes) processes, \(schedules) schedules, expected \(expected), "
            + "found \(found), duplicates \(duplicates), misses \(misses)"
        if withoutJob > 0 { line += ", without a job \(withoutJob)" }
        for (what, count) in strange.sorted(by: { $0.key < $1.key }) { line += ", \(what) \(count)" }
        if !ends.isEmpty { line += ", ended with \(ends)" }
        return line + ", latest after \((latest.inSeconds * 100).rounded() / 100) s, SCHEDULE_SEED=\(seed)"
    }

    /// Something that should not be there.
    mutating func count(_ number: Int, of what: String) {
        if number != 0 { strange[what, default: 0] += number }
    }

    /// All decisions of a schedule, which is to be decided through an instant.
    mutating func count(_ rows: [TickRecord], of record: ScheduleRecord, through end: Timestamp) {
        let first = Self.second(record.createdAt) + 1
        let last = max(Self.second(max(record.cursor, end)), first - 1)
        var decided: [Int64: Int] = [:]
        for row in rows {
            let (from, through) = (Self.second(row.nominal), Self.second(row.through))
            let key = from == through ? "\(from)" : "\(from)..\(through)"
            guard row.nominal.microseconds == from * 1_000_000, row.through.microseconds == through * 1_000_000,
                row.key.rawValue == key, from <= through, Int64(row.count) == through - from + 1, from >= first
            else {
                count(1, of: "other keys")
                continue
            }
            if row.through > row.decidedAt || through > last {
                count(1, of: "decisions on the future")
                continue
            }
            latest = max(latest, row.decidedAt - row.nominal)
            for second in from...through { decided[second, default: 0] += 1 }
            if let job = row.job {
                let place = Place(schedule: record.id, nominal: row.nominal)
                if awaited.updateValue(place, forKey: job) != nil { duplicates += 1 }
            } else {
                withoutJob += row.count
            }
        }
        expected += Int(last - first + 1)
        found += decided.count
        duplicates += decided.values.reduce(0) { $0 + $1 - 1 }
        misses += Int(last - first + 1) - decided.count
    }

    /// Some of the jobs, after all decisions.
    mutating func count(_ jobs: [JobRecord]) {
        for job in jobs {
            guard let tick = job.headers[Tick.header].flatMap({ Tick(headerValue: $0) }) else {
                count(1, of: "jobs of no tick")
                continue
            }
            let place = Place(schedule: tick.schedule, nominal: tick.nominal)
            if !self.jobs.insert(place).inserted { duplicates += 1 }
            if awaited.removeValue(forKey: job.id) != place { count(1, of: "jobs without a decision") }
            if tick.nominal > tick.decidedAt || job.runAt > job.createdAt + .seconds(1) {
                count(1, of: "jobs for the future")
            }
        }
    }

    /// After all jobs.
    mutating func close() {
        found -= awaited.count
        misses += awaited.count
    }

    private static func second(_ instant: Timestamp) -> Int64 {
        let (quotient, rest) = instant.microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        return rest < 0 ? quotient - 1 : quotient
    }
}
