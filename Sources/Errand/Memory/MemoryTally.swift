// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// The counts by state and the counters per minute of one queue and job name.
final class MemoryTally {
    let queue: QueueName
    let name: JobName
    /// By ``JobState`` number.
    var counts = [Int](repeating: 0, count: JobState.allCases.count)
    private(set) var minutes: [Int64: [Int]] = [:]
    private var minute: Int64 = .min
    private var values = [Int](repeating: 0, count: width)

    /// Nine counters, then 25 buckets each of waits and runs.
    private static let width = 9 + 2 * 25

    init(queue: QueueName, name: JobName) {
        self.queue = queue
        self.name = name
    }

    func count(_ metric: SeriesMetric, at now: Timestamp, bucket: Int = 0) {
        let minute = now.minute
        if minute != self.minute {
            flush()
            self.minute = minute
            values = minutes[minute] ?? [Int](repeating: 0, count: Self.width)
        }
        values[metric == .run ? 34 + bucket : metric.rawValue + bucket] += 1
    }

    /// Whether nothing would be forgotten with it.
    var isEmpty: Bool { minutes.isEmpty && minute == .min && counts.allSatisfy { $0 == 0 } }

    /// Forgets the minutes before this one.
    /// - Returns: How many numbers that were.
    func sweep(before oldest: Int64) -> Int {
        flush()
        var removed = 0
        for (minute, values) in minutes where minute < oldest {
            removed += values.count { $0 > 0 }
            minutes[minute] = nil
        }
        return removed
    }

    /// Its points from one minute to before another, in the order of minute, metric and bucket.
    func points(from: Int64, through last: Int64, of metrics: Set<SeriesMetric>) -> [SeriesPoint] {
        flush()
        var points: [SeriesPoint] = []
        for minute in minutes.keys.sorted() where minute >= from && minute <= last {
            for (index, value) in (minutes[minute] ?? []).enumerated() where value > 0 {
                let (metric, bucket) = Self.meaning(of: index)
                guard metrics.isEmpty || metrics.contains(metric) else { continue }
                points.append(
                    SeriesPoint(
                        minute: minute,
                        queue: queue,
                        name: name,
                        metric: metric,
                        bucket: bucket,
                        value: value
                    )
                )
            }
        }
        return points
    }

    private static func meaning(of index: Int) -> (SeriesMetric, Int) {
        if index >= 34 { return (.run, index - 34) }
        if index >= 9 { return (.wait, index - 9) }
        return (SeriesMetric(rawValue: index) ?? .enqueued, 0)
    }

    private func flush() {
        guard minute != .min else { return }
        minutes[minute] = values
        minute = .min
    }
}
