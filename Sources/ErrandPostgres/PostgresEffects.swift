// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// What a transaction did besides its rows: changes of the counts, appended at its end, and signals, sent after its
/// commit.
struct PostgresEffects: Sendable {
    /// One line of `deltas`.
    struct Count: Hashable, Sendable {
        var lane: Int64
        /// The state, or 16 + the metric.
        var kind: Int64
        var bucket: Int64
        var minute: Int64
    }

    private(set) var counts: [Count: Int64] = [:]
    /// Queues with new work.
    var work: Set<QueueName> = []
    /// Running jobs that should stop.
    var cancelled: [JobID] = []
    /// Jobs that became final.
    var finished: [JobID] = []
    /// Whether a pause began or ended, or schedulers should look at once.
    var controls = false

    /// A job of this lane entered (`change` 1) or left (−1) a state.
    mutating func tally(lane: Int64, _ state: JobState, _ change: Int64) {
        counts[Count(lane: lane, kind: Int64(state.rawValue), bucket: 0, minute: 0), default: 0] += change
    }

    mutating func count(_ metric: SeriesMetric, lane: Int64, bucket: Int = 0, at now: Timestamp) {
        let line = Count(lane: lane, kind: 16 + Int64(metric.rawValue), bucket: Int64(bucket), minute: now.minute)
        counts[line, default: 0] += 1
    }

    /// Counts of another store that came with jobs.
    mutating func add(_ point: SeriesPoint, lane: Int64) {
        let line = Count(
            lane: lane,
            kind: 16 + Int64(point.metric.rawValue),
            bucket: Int64(point.bucket),
            minute: point.minute
        )
        // Far more than ever happened, and still no overflow when they are added up.
        counts[line, default: 0] += Int64(min(point.value, 1 << 53))
    }

    mutating func clearCounts() { counts.removeAll() }

    /// Adds what a later part of the same call did.
    mutating func merge(_ other: PostgresEffects) {
        work.formUnion(other.work)
        cancelled += other.cancelled
        finished += other.finished
        controls = controls || other.controls
    }

    /// Forgets the older of very many ends, so that what waits to be told stays small: whoever waits for one polls.
    mutating func keepFew() {
        if finished.count > Self.mostFinished { finished.removeFirst(finished.count - Self.mostFinished) }
    }

    private static let mostFinished = 1000

    /// Whether anybody would like to know.
    var isOfInterest: Bool { !work.isEmpty || !cancelled.isEmpty || !finished.isEmpty || controls }

    /// Tells this process; called after the commit.
    func publish(to hub: LocalHub) {
        if !work.isEmpty { hub.publish(.work(work)) }
        if !cancelled.isEmpty { hub.publish(.cancelled(cancelled)) }
        if controls { hub.publish(.controls) }
        if !finished.isEmpty { hub.publishFinished(finished) }
    }
}
