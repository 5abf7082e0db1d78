// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What a caller asks to have stored. Durations go in; the store turns them into instants of its own clock.
public struct NewJob: Sendable, Hashable, Codable {
    /// When the job may start.
    public enum Start: Sendable, Hashable, Codable {
        /// As soon as a worker is free.
        case now
        /// This long after the store took it.
        case after(Duration)
        /// At this instant; one in the past means now.
        case at(Timestamp)
    }

    /// Made by the caller, so that repeating the insert is safe.
    public var id: JobID
    /// Which handler runs it.
    public var name: JobName
    /// Which line it stands in.
    public var queue: QueueName
    /// The encoded arguments; their version decides which workers may claim it.
    public var payload: Payload
    /// How soon it is taken.
    public var priority: JobPriority
    /// When it may start.
    public var start: Start
    /// If it has not started this long after it was stored, it is `expired`; `nil` for never.
    public var startWithin: Duration?
    /// How long all attempts together may take, from when it was stored; `nil` for no limit.
    public var deadline: Duration?
    /// How long one attempt may take; `nil` for no limit.
    public var timeout: Duration?
    /// When it is tried again.
    public var retry: RetryPolicy
    /// How many dead workers it survives: at crash number `crashesAllowed + 1` it is `failed(poison)`.
    public var crashesAllowed: Int
    /// What counts as the same job.
    public var unique: UniqueRule?
    /// Words to find it by; at most ``tagLimit``, each at most 200 bytes.
    public var tags: [String]
    /// Facts for the handler that are not arguments; at most ``headerLimit``.
    public var headers: [String: String]
    /// The trace of the enqueuing code, as a propagator injected it.
    public var trace: [String: String]
    /// How long its result is kept after the end.
    public var resultTTL: Duration

    /// A job with the defaults of the library for all that is not given.
    public init(
        id: JobID,
        name: JobName,
        payload: Payload,
        queue: QueueName = .default,
        priority: JobPriority = .normal,
        start: Start = .now,
        startWithin: Duration? = nil,
        deadline: Duration? = nil,
        timeout: Duration? = NewJob.defaultTimeout,
        retry: RetryPolicy = .default,
        crashesAllowed: Int = NewJob.defaultCrashesAllowed,
        unique: UniqueRule? = nil,
        tags: [String] = [],
        headers: [String: String] = [:],
        trace: [String: String] = [:],
        resultTTL: Duration = NewJob.defaultResultTTL
    ) {
        self.id = id
        self.name = name
        self.payload = payload
        self.queue = queue
        self.priority = priority
        self.start = start
        self.startWithin = startWithin
        self.deadline = deadline
        self.timeout = timeout
        self.retry = retry
        self.crashesAllowed = crashesAllowed
        self.unique = unique
        self.tags = tags
        self.headers = headers
        self.trace = trace
        self.resultTTL = resultTTL
    }

    /// 15 minutes an attempt; no timeout must be written out.
    public static let defaultTimeout: Duration = .minutes(15)
    /// Two dead workers are survived; the third makes it `failed(poison)`.
    public static let defaultCrashesAllowed = 2
    /// Results are kept 24 hours.
    public static let defaultResultTTL: Duration = .hours(24)
    /// The most tags of a job.
    public static let tagLimit = 20
    /// The most headers of a job.
    public static let headerLimit = 50
    /// The most bytes of all headers together: 16 KiB.
    public static let headerBytes = 16_384
}

extension NewJob {
    /// What is wrong with the job, as a sentence that says what to do; `nil` when it can be stored. Clients
    /// and stores both refuse a job with a problem before anything is written.
    public func problem(payloadLimit: Int = Payload.defaultLimit) -> String? {
        if let problem = name.problem ?? queue.problem { return problem }
        if payload.bytes.count > payloadLimit {
            return "the payload of '\(name)' has \(payload.bytes.count) bytes; the limit is \(payloadLimit): "
                + "store the data elsewhere and enqueue a reference to it"
        }
        if payload.version < 1 { return "the version of '\(name)' is \(payload.version); versions start at 1" }
        return uniqueProblem ?? tagProblem ?? headerProblem ?? timeProblem
    }

    private var uniqueProblem: String? {
        guard let unique else { return nil }
        if let ttl = unique.scope.ttl, ttl <= .zero {
            return "the unique key of '\(name)' would be kept for no time; give forTTL a positive duration"
        }
        return NameRule.problem(with: unique.key, what: "unique key", longest: UniqueRule.longestKey)
    }

    private var tagProblem: String? {
        if tags.count > Self.tagLimit { return "'\(name)' has \(tags.count) tags; the limit is \(Self.tagLimit)" }
        return tags.lazy.compactMap { NameRule.problem(with: $0, what: "tag") }.first
    }

    private var headerProblem: String? {
        if headers.count > Self.headerLimit {
            return "'\(name)' has \(headers.count) headers; the limit is \(Self.headerLimit)"
        }
        let bytes = headers.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        if bytes > Self.headerBytes {
            return "the headers of '\(name)' have \(bytes) bytes; the limit is \(Self.headerBytes): "
                + "put large data into the payload"
        }
        return headers.keys.lazy.compactMap { NameRule.problem(with: $0, what: "header name") }.first
    }

    private var timeProblem: String? {
        for (what, duration) in [("timeout", timeout), ("start-within", startWithin), ("deadline", deadline)] {
            if let duration, duration <= .zero {
                return "the \(what) of '\(name)' is \(duration); give a positive duration or none"
            }
        }
        return nil
    }
}
