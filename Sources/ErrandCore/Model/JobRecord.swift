// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// One stored job as read back.
///
/// The parts that are kept in tables of their own (``result``, ``attempts``, ``log``, ``checkpoints``) are
/// filled only when the reader asked for them (``JobParts``). How a record may change is written once, in
/// the `Decisions` folder, and every engine applies it.
public struct JobRecord: Sendable, Hashable, Codable {
    // What was asked for.

    /// The id its client made.
    public let id: JobID
    /// Which handler runs it.
    public var name: JobName
    /// Which line it stands in.
    public var queue: QueueName
    /// The encoded arguments. Empty in lists, which do not read it.
    public var payload: Payload
    /// How soon it is taken.
    public var priority: JobPriority
    /// When it is tried again.
    public var retry: RetryPolicy
    /// How many dead workers it survives.
    public var crashesAllowed: Int
    /// How long one attempt may take.
    public var timeout: Duration?
    /// If it has not started by then it is `expired`.
    public var startBy: Timestamp?
    /// When all attempts together must be done.
    public var deadline: Timestamp?
    /// What counts as the same job.
    public var unique: UniqueRule?
    /// Words to find it by.
    public var tags: [String]
    /// Facts for the handler that are not arguments.
    public var headers: [String: String]
    /// The trace of the enqueuing code.
    public var trace: [String: String]
    /// How long the result is kept after the end.
    public var resultTTL: Duration

    // Where it stands.

    /// Where it is in its life.
    public var state: JobState
    /// When the store took it.
    public var createdAt: Timestamp
    /// When it is due, or became ready.
    public var runAt: Timestamp
    /// Its place among the ready jobs, lowest first; see ``JobPriority/rank(readyAt:)``.
    public var rank: Int64
    /// Raised by every change an operator makes; an edit may insist on the one it saw.
    public var revision: Int
    /// Set aside by an operator.
    public var hold: Hold?
    /// Somebody wants it stopped while it runs.
    public var cancelRequest: CancelRequest?

    // What happened to it.

    /// Which run: 1, and one more for each operator's retry of a finished job.
    public var run: Int
    /// The ordinal of the current or last attempt within the run; 0 before the first. Snoozes and releases
    /// give theirs back.
    public var attempt: Int
    /// Counted failures in this run; what the retry policy counts.
    public var failures: Int
    /// Workers that died running it, in this run.
    public var crashes: Int
    /// Times it was given back at shutdown, in this run.
    public var releases: Int
    /// Times it asked to run later, in this run.
    public var snoozes: Int
    /// The fencing number of the last claim or rescue.
    public var epoch: Int64
    /// Who runs it, while `running`; who ran it last, afterwards.
    public var worker: WorkerID?
    /// When the current or last attempt was claimed.
    public var startedAt: Timestamp?
    /// When it became final.
    public var finishedAt: Timestamp?
    /// Why it failed, was cancelled or expired, when that needs telling apart.
    public var reason: FailureReason?
    /// The last error.
    public var error: StoredError?
    /// The group of dead letters it belongs to; see ``StoredError/fingerprint(of:)``.
    public var fingerprint: String?
    /// How far the handler says it is.
    public var progress: JobProgress?

    // Parts, read on request.

    /// The result of a succeeded job, while it is kept.
    public var result: Payload?
    /// Its kept attempts, oldest first.
    public var attempts: [Attempt] = []
    /// Its newest log lines, oldest first.
    public var log: [LogLine] = []
    /// Values of finished checkpoints, by name.
    public var checkpoints: [String: Payload] = [:]

    /// The record of a new job at the moment the store takes it: `ready`, or `scheduled` when it is due later.
    public init(_ job: NewJob, at now: Timestamp) {
        id = job.id
        name = job.name
        queue = job.queue
        payload = job.payload
        priority = job.priority
        retry = job.retry
        crashesAllowed = job.crashesAllowed
        timeout = job.timeout
        startBy = job.startWithin.map { now + $0 }
        deadline = job.deadline.map { now + $0 }
        unique = job.unique
        tags = job.tags
        headers = job.headers
        trace = job.trace
        resultTTL = job.resultTTL
        createdAt = now
        runAt = job.start.instant(from: now)
        state = runAt > now ? .scheduled : .ready
        rank = job.priority.rank(readyAt: runAt)
        (revision, run, attempt, failures, crashes, releases, snoozes, epoch) = (1, 1, 0, 0, 0, 0, 0, 0)
    }
}

extension NewJob.Start {
    /// The instant this means for a job stored at `now`; never before `now`.
    public func instant(from now: Timestamp) -> Timestamp {
        switch self {
        case .now: now
        case .after(let delay): max(now + delay, now)
        case .at(let instant): max(instant, now)
        }
    }
}

/// How far a running job says it is.
public struct JobProgress: Sendable, Hashable, Codable {
    /// 0 to 1; values outside are clamped.
    public let fraction: Double
    /// A few words, at most 500 bytes are kept.
    public let message: String
    /// When the store wrote it.
    public let at: Timestamp

    /// Progress as the store keeps it.
    public init(fraction: Double, message: String, at: Timestamp) {
        self.fraction = fraction.isNaN ? 0 : min(max(fraction, 0), 1)
        self.message = String(message.prefix(500))
        self.at = at
    }
}

/// One line a handler logged for people who look at the job.
public struct LogLine: Sendable, Hashable, Codable {
    /// When the worker took it.
    public let at: Timestamp
    /// The level's word, as swift-log spells it.
    public let level: String
    /// The text; at most 2,000 characters are kept.
    public let message: String

    /// A line.
    public init(at: Timestamp, level: String, message: String) {
        self.at = at
        self.level = level
        self.message = String(message.prefix(2000))
    }

    /// How many lines of a job a store keeps: the newest 200.
    public static let kept = 200
}
