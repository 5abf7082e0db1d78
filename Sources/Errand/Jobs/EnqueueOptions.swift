// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What one enqueue wants different from its job type. `nil` leaves the type's own value.
public struct EnqueueOptions: Sendable {
    /// A limit that a type has may be lifted, so "not given" and "none" are different.
    public enum Limit: Sendable, Hashable {
        /// No limit.
        case unlimited
        /// This long.
        case within(Duration)

        var duration: Duration? {
            switch self {
            case .unlimited: nil
            case .within(let duration): duration
            }
        }
    }

    /// The id; made by the client when `nil`. Give one to make your own retry of the enqueue safe.
    public var id: JobID?
    /// The line.
    public var queue: QueueName?
    /// The priority.
    public var priority: JobPriority?
    /// When it may start; at once by default.
    public var start: NewJob.Start
    /// How soon it must start.
    public var startWithin: Limit?
    /// How long all attempts may take.
    public var deadline: Limit?
    /// How long one attempt may take.
    public var timeout: Limit?
    /// When it is tried again.
    public var retry: RetryPolicy?
    /// What counts as the same job.
    public var unique: UniqueRule?
    /// Words to find it by.
    public var tags: [String]
    /// Facts for the handler that are not arguments.
    public var headers: [String: String]
    /// How long its result is kept.
    public var resultTTL: Duration?

    /// Options; those not given stay with the job type.
    public init(
        id: JobID? = nil,
        queue: QueueName? = nil,
        priority: JobPriority? = nil,
        start: NewJob.Start = .now,
        startWithin: Limit? = nil,
        deadline: Limit? = nil,
        timeout: Limit? = nil,
        retry: RetryPolicy? = nil,
        unique: UniqueRule? = nil,
        tags: [String] = [],
        headers: [String: String] = [:],
        resultTTL: Duration? = nil
    ) {
        self.id = id
        self.queue = queue
        self.priority = priority
        self.start = start
        self.startWithin = startWithin
        self.deadline = deadline
        self.timeout = timeout
        self.retry = retry
        self.unique = unique
        self.tags = tags
        self.headers = headers
        self.resultTTL = resultTTL
    }

    /// Options that only delay the start.
    public static func delay(_ delay: Duration) -> EnqueueOptions {
        EnqueueOptions(start: .after(delay))
    }

    /// Options that only set the priority.
    public static func priority(_ priority: JobPriority) -> EnqueueOptions {
        EnqueueOptions(priority: priority)
    }

    /// Options that only make the job unique under this key, whatever its type says.
    public static func unique(
        key: String,
        scope: UniqueRule.Scope = .untilDone,
        conflict: UniqueRule.Conflict = .returnExisting
    ) -> EnqueueOptions {
        EnqueueOptions(unique: UniqueRule(key: key, scope: scope, conflict: conflict))
    }
}
