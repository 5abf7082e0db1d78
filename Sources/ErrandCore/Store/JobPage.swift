// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Which parts of a job a reader wants besides the row itself.
public struct JobParts: OptionSet, Sendable, Hashable {
    public let rawValue: Int

    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The encoded arguments. Without it ``JobRecord/payload`` has no bytes.
    public static let payload = JobParts(rawValue: 1)
    /// The result, while it is kept.
    public static let result = JobParts(rawValue: 2)
    /// The kept attempts.
    public static let attempts = JobParts(rawValue: 4)
    /// The log lines.
    public static let log = JobParts(rawValue: 8)
    /// The values of finished checkpoints.
    public static let checkpoints = JobParts(rawValue: 16)
    /// Everything.
    public static let all: JobParts = [.payload, .result, .attempts, .log, .checkpoints]
}

/// Which page of a list is wanted. Pages are by key, never by offset, so they stay put while jobs arrive.
public struct JobPageRequest: Sendable, Hashable {
    /// Continue behind this job; `nil` starts at the newest.
    public var after: JobID?
    /// The most jobs on the page, 1 to ``JobPageRequest/largest``.
    public var limit: Int
    /// The most rows that are looked at; a page that hits it says so and where to go on.
    public var scanLimit: Int

    /// A request; numbers outside their bounds are clamped.
    public init(after: JobID? = nil, limit: Int = 50, scanLimit: Int = 100_000) {
        self.after = after
        self.limit = min(max(limit, 1), Self.largest)
        self.scanLimit = max(scanLimit, 1)
    }

    /// The most jobs on a page: 500.
    public static let largest = 500
}

/// One page of jobs, newest id first.
public struct JobPage: Sendable, Hashable {
    /// The jobs.
    public var jobs: [JobRecord]
    /// Where the next page starts; `nil` when there is nothing behind this one.
    public var next: JobID?
    /// True when the search stopped at its scan limit before the page was full; ``next`` goes on from there.
    public var isBounded: Bool

    /// A page.
    public init(jobs: [JobRecord], next: JobID?, isBounded: Bool) {
        self.jobs = jobs
        self.next = next
        self.isBounded = isBounded
    }
}
