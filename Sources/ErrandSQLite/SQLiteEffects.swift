// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// What a transaction did besides its rows: changes of the counts, written once at its end, and signals, sent once
/// after its commit.
///
/// A value, so that a call that is rolled back takes its share with it.
struct SQLiteEffects {
    private(set) var tallies = SmallCounts<Int64>()
    private(set) var counters = SmallCounts<Counter>()
    /// Queues with new work.
    var work: Set<QueueName> = [] {
        didSet { lastTouched = nil }
    }
    private var lastTouched: QueueName?
    /// Running jobs that should stop.
    var cancelled: [JobID] = []
    /// Jobs that became final.
    var finished: [JobID] = []
    /// Workers that have no row any more, whose lock files can go.
    var goneWorkers: [WorkerID] = []
    /// Whether a pause began or ended, or schedulers should look at once.
    var controls = false

    /// One line of the per-minute counters.
    struct Counter: Hashable {
        var minute: Int64
        var lane: Int64
        var metric: SeriesMetric
        var bucket: Int
    }

    /// A job of this lane entered (`change` 1) or left (−1) a state.
    mutating func tally(lane: Int64, _ state: JobState, _ change: Int) {
        tallies.add(change, to: lane << 4 | Int64(state.rawValue))
    }

    mutating func count(_ metric: SeriesMetric, lane: Int64, bucket: Int = 0, at now: Timestamp, times: Int = 1) {
        counters.add(times, to: Counter(minute: now.minute, lane: lane, metric: metric, bucket: bucket))
    }

    /// Work may be ready or due in this queue.
    mutating func touch(_ queue: QueueName) {
        // Jobs come in runs of the same queue, and comparing is cheaper than hashing.
        guard lastTouched != queue else { return }
        work.insert(queue)
        lastTouched = queue
    }

    /// Whether there are counts to write.
    var hasCounts: Bool { !counters.isEmpty || tallies.contains { $1 != 0 } }

    mutating func clearCounts() {
        tallies = SmallCounts()
        counters = SmallCounts()
    }

    /// Whether other processes would like to know.
    var isOfInterest: Bool { !work.isEmpty || !cancelled.isEmpty || !finished.isEmpty || controls }

    /// Tells this process.
    ///
    /// Called after the commit.
    func publish(to hub: LocalHub) {
        if !work.isEmpty { hub.publish(.work(work)) }
        if !cancelled.isEmpty { hub.publish(.cancelled(cancelled)) }
        if controls { hub.publish(.controls) }
        if !finished.isEmpty { hub.publishFinished(finished) }
    }
}

/// Sums for a few keys that come again and again: to look at the last ones is cheaper than to hash. A transaction
/// that touches many lanes has many keys, and then it hashes.
struct SmallCounts<Key: Hashable & Sendable>: Sequence, Sendable {
    private static var few: Int { 16 }
    private var last: [(key: Key, value: Int)] = []
    private var others: [Key: Int] = [:]

    var isEmpty: Bool { last.isEmpty }

    mutating func add(_ value: Int, to key: Key) {
        if let index = last.firstIndex(where: { $0.key == key }) {
            last[index].value += value
        } else if last.count < Self.few {
            last.append((key, value))
        } else {
            others[key, default: 0] += value
        }
    }

    func makeIterator() -> AnyIterator<(Key, Int)> {
        var (few, many) = (last.makeIterator(), others.makeIterator())
        return AnyIterator { few.next().map { ($0.key, $0.value) } ?? many.next().map { ($0.key, $0.value) } }
    }
}
