// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What is counted per minute, queue and job name, for charts.
public enum SeriesMetric: Int, Sendable, Hashable, Codable, CaseIterable {
    /// Jobs stored.
    case enqueued = 0
    /// Jobs claimed.
    case started = 1
    /// Jobs that became `succeeded`.
    case succeeded = 2
    /// Attempts that failed and were counted, the last one included.
    case failedAttempts = 3
    /// Jobs that became `failed`.
    case failed = 4
    /// Jobs that became `cancelled`.
    case cancelled = 5
    /// Jobs that became `expired`.
    case expired = 6
    /// Attempts given back at shutdown or because an answer was lost.
    case released = 7
    /// Attempts whose worker died.
    case crashed = 8
    /// Waits from being due to being claimed, in buckets of ``bucket(of:)``.
    case wait = 9
    /// Runs from being claimed to the end of the attempt, in buckets of ``bucket(of:)``.
    case run = 10

    /// The histogram bucket of a duration: 0 for less than 1 ms, then one per doubling, at most 24
    /// (4.6 hours and more). Fixed, so that histograms of any processes and minutes can be added.
    public static func bucket(of duration: Duration) -> Int {
        let milliseconds = duration.wholeMicroseconds / 1000
        guard milliseconds > 0 else { return 0 }
        return min(Int64.bitWidth - milliseconds.leadingZeroBitCount, 24)
    }

    /// What a settlement counts besides its ``run``, given the state it left the job in.
    public static func counted(by outcome: Outcome, leaving state: JobState) -> [SeriesMetric] {
        var metrics: [SeriesMetric] = []
        switch outcome {
        case .retry, .failed: metrics.append(.failedAttempts)
        case .released: metrics.append(.released)
        case .succeeded, .snoozed, .cancelled, .abandoned, .undecodable: break
        }
        if let end = ended(as: state) { metrics.append(end) }
        return metrics
    }

    /// What a job counts that becomes final in this state, whatever made it so; `nil` for other states.
    public static func ended(as state: JobState) -> SeriesMetric? {
        switch state {
        case .succeeded: .succeeded
        case .failed: .failed
        case .cancelled: .cancelled
        case .expired: .expired
        case .skipped, .waiting, .scheduled, .retrying, .ready, .running: nil
        }
    }
}

/// One number of the series.
public struct SeriesPoint: Sendable, Hashable, Codable {
    /// Whole minutes since the Unix epoch.
    public var minute: Int64
    /// The queue.
    public var queue: QueueName
    /// The job name.
    public var name: JobName
    /// What was counted.
    public var metric: SeriesMetric
    /// The histogram bucket for waits and runs, else 0.
    public var bucket: Int
    /// How often.
    public var value: Int

    /// A point.
    public init(minute: Int64, queue: QueueName, name: JobName, metric: SeriesMetric, bucket: Int, value: Int) {
        self.minute = minute
        self.queue = queue
        self.name = name
        self.metric = metric
        self.bucket = bucket
        self.value = value
    }

    /// How long a store keeps points: 48 hours.
    public static let kept: Duration = .hours(48)
}

/// Which part of the series is wanted.
public struct SeriesRequest: Sendable, Hashable {
    /// From this minute on.
    public var from: Timestamp
    /// Before this one.
    public var before: Timestamp
    /// Only this queue.
    public var queue: QueueName?
    /// Only this name.
    public var name: JobName?
    /// Only these metrics; empty for all.
    public var metrics: Set<SeriesMetric>

    /// A request.
    public init(
        from: Timestamp,
        before: Timestamp,
        queue: QueueName? = nil,
        name: JobName? = nil,
        metrics: Set<SeriesMetric> = []
    ) {
        self.from = from
        self.before = before
        self.queue = queue
        self.name = name
        self.metrics = metrics
    }

    /// The most points in an answer; the earliest are given.
    public static let largest = 50_000
}
