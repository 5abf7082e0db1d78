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

    /// Whether there are no points.
    var hasNoPoints: Bool { minutes.isEmpty && minute == .min }

    /// Its oldest points, at most `limit` of them, which it then forgets.
    func takePoints(upTo limit: Int) -> [SeriesPoint] {
        guard limit > 0 else { return [] }
        let taken = Array(points(from: .min, through: .max, of: []).prefix(limit))
        for point in taken { minutes[point.minute]?[Self.index(of: point)] = 0 }
        minutes = minutes.filter { $0.value.contains { $0 > 0 } }
        return taken
    }

    /// Adds a point that was counted elsewhere.
    func add(_ point: SeriesPoint) {
        flush()
        guard point.value > 0, (0...24).contains(point.bucket) else { return }
        let none = [Int](repeating: 0, count: Self.width)
        let sum = minutes[point.minute, default: none][Self.index(of: point)].addingReportingOverflow(point.value)
        minutes[point.minute, default: none][Self.index(of: point)] = sum.overflow ? .max : sum.partialValue
    }

    private static func index(of point: SeriesPoint) -> Int {
        switch point.metric {
        case .run: 34 + point.bucket
        case .wait: 9 + point.bucket
        default: point.metric.rawValue
        }
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
