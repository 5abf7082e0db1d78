// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How many jobs a queue holds of one name in one state.
public struct JobCount: Sendable, Hashable {
    /// The queue.
    public var queue: QueueName
    /// The job name.
    public var name: JobName
    /// The state.
    public var state: JobState
    /// How many; exact.
    public var count: Int

    /// A count.
    public init(queue: QueueName, name: JobName, state: JobState, count: Int) {
        self.queue = queue
        self.name = name
        self.state = state
        self.count = count
    }
}

/// The counts of a store and the age of its oldest ready jobs, taken in one look.
public struct JobCounts: Sendable, Hashable {
    /// Every combination of queue, name and state that has jobs.
    public var rows: [JobCount]
    /// When the oldest ready, unheld job of each queue became ready.
    public var oldestReady: [QueueName: Timestamp]
    /// Store time of the look.
    public var at: Timestamp

    /// Counts.
    public init(rows: [JobCount], oldestReady: [QueueName: Timestamp], at: Timestamp) {
        self.rows = rows
        self.oldestReady = oldestReady
        self.at = at
    }

    /// How many jobs are in this state, in this queue and of this name, each `nil` for all.
    public func count(_ state: JobState? = nil, queue: QueueName? = nil, name: JobName? = nil) -> Int {
        rows.reduce(0) { sum, row in
            let isMeant =
                (state == nil || row.state == state) && (queue == nil || row.queue == queue)
                && (name == nil || row.name == name)
            return isMeant ? sum + row.count : sum
        }
    }
}

/// The number of jobs a filter means, counted only up to a limit.
public struct BoundedCount: Sendable, Hashable {
    /// The number counted.
    public var value: Int
    /// False when counting stopped at the limit of jobs or of rows looked at: there may be more.
    public var isExact: Bool

    /// A count.
    public init(value: Int, isExact: Bool) {
        self.value = value
        self.isExact = isExact
    }

    /// Counting stops here unless asked otherwise: "10,001 = many".
    public static let defaultLimit = 10_001
}
