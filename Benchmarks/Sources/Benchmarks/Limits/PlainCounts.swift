// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// The counts that belong to the rows of a transaction, as plain statements: how many jobs are in which state, and what
/// happened this minute. A handful of rows a transaction, however many jobs it is about.
struct PlainCounts {
    private let addTally: PlainStatement
    private let addCounter: PlainStatement
    private let lane: Int64
    /// Since the last write.
    var (inserted, claimed, finished) = (0, 0, 0)

    init(_ connection: PlainConnection, lane: Int64) throws {
        self.lane = lane
        addTally = try connection.prepare(
            """
            INSERT INTO errand_tallies (lane, state, n) VALUES (\(lane), ?1, ?2) \
            ON CONFLICT (lane, state) DO UPDATE SET n = n + ?2
            """
        )
        addCounter = try connection.prepare(
            """
            INSERT INTO errand_counters (minute, lane, metric, bucket, value) VALUES (?1, \(lane), ?2, 0, ?3) \
            ON CONFLICT (minute, lane, metric, bucket) DO UPDATE SET value = value + ?3
            """
        )
    }

    /// Writes and forgets what was counted.
    mutating func write() throws {
        try tally(.ready, inserted - claimed)
        try tally(.running, claimed - finished)
        try tally(.succeeded, finished)
        let minute = SystemClock.shared.now.minute
        try count(.enqueued, inserted, minute)
        for metric in [SeriesMetric.started, .wait] { try count(metric, claimed, minute) }
        for metric in [SeriesMetric.succeeded, .run] { try count(metric, finished, minute) }
        (inserted, claimed, finished) = (0, 0, 0)
    }

    private func tally(_ state: JobState, _ change: Int) throws {
        guard change != 0 else { return }
        addTally.bind(1, Int64(state.rawValue))
        addTally.bind(2, Int64(change))
        try addTally.run()
    }

    private func count(_ metric: SeriesMetric, _ value: Int, _ minute: Int64) throws {
        guard value != 0 else { return }
        addCounter.bind(1, minute)
        addCounter.bind(2, Int64(metric.rawValue))
        addCounter.bind(3, Int64(value))
        try addCounter.run()
    }
}
