// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension JobRecord {
    /// What an operator's change did, or why it did nothing.
    public enum Change: Sendable, Hashable {
        /// The record changed.
        case changed
        /// The record was already like that.
        case unchanged
        /// The state does not allow it.
        case refused(String)
    }

    /// Cancels the job: at once when it is pending, by a request to its worker while it runs.
    public mutating func cancel(by actor: String, reason: String, at now: Timestamp) -> Change {
        if state.isFinal { return state == .cancelled ? .unchanged : .refused("it is already \(state.word)") }
        if state == .running {
            guard cancelRequest == nil else { return .unchanged }
            cancelRequest = CancelRequest(actor: actor, reason: reason, at: now)
            revision += 1
            return .changed
        }
        cancelRequest = CancelRequest(actor: actor, reason: reason, at: now)
        state = .cancelled
        finishedAt = now
        revision += 1
        return .changed
    }

    /// Runs the job again: a final one starts a new run with a clean count and keeps its history; one that
    /// waits for its time becomes due. `delay` spreads many retries over time.
    public mutating func retry(after delay: Duration, at now: Timestamp) -> Change {
        switch state {
        case .ready where delay <= .zero: return .unchanged
        case .running: return .refused("it is running; cancel it first")
        case .waiting: return .refused("it waits for another job")
        case .ready, .scheduled, .retrying: break
        case .succeeded, .failed, .cancelled, .expired, .skipped:
            run += 1
            (attempt, failures, crashes, releases, snoozes) = (0, 0, 0, 0, 0)
            (finishedAt, reason, cancelRequest, startBy, deadline) = (nil, nil, nil, nil, nil)
        }
        runAt = max(now + delay, now)
        rank = priority.rank(readyAt: runAt)
        state = runAt > now ? (state == .retrying ? .retrying : .scheduled) : .ready
        revision += 1
        return .changed
    }

    /// Applies an edit to a job that nobody runs.
    public mutating func edit(_ edit: JobEdit, at now: Timestamp) -> Change {
        if state == .running { return .refused("it is running") }
        if let expected = edit.expectedRevision, expected != revision {
            return .refused("it changed since you looked: revision \(revision), expected \(expected)")
        }
        if let problem = edit.problem { return .refused(problem) }
        if let payload = edit.payload { self.payload = payload }
        if let queue = edit.queue { self.queue = queue }
        if let priority = edit.priority { self.priority = priority }
        if let maxAttempts = edit.maxAttempts { retry.maxAttempts = max(maxAttempts, 1) }
        if let tags = edit.tags { self.tags = tags }
        if let start = edit.start, state == .scheduled || state == .retrying || state == .ready {
            runAt = start.instant(from: now)
            state = runAt > now ? (state == .retrying ? .retrying : .scheduled) : .ready
        }
        rank = priority.rank(readyAt: runAt)
        revision += 1
        return .changed
    }

    /// Sets the job aside.
    public mutating func hold(_ hold: Hold) -> Change {
        guard state.isPending else { return .refused("it is \(state.word)") }
        self.hold = hold
        revision += 1
        return .changed
    }

    /// Lets a held job go on from where it was.
    public mutating func release() -> Change {
        guard hold != nil else { return .unchanged }
        hold = nil
        revision += 1
        return .changed
    }

    /// Whether the row may be deleted: anything but a running job.
    public var deletion: Change {
        state == .running ? .refused("it is running; cancel it first") : .changed
    }
}

/// A change to a stored job; `nil` leaves a field as it is.
public struct JobEdit: Sendable, Hashable {
    /// New arguments.
    public var payload: Payload?
    /// Another line.
    public var queue: QueueName?
    /// Another priority.
    public var priority: JobPriority?
    /// Another time to start.
    public var start: NewJob.Start?
    /// Another number of attempts.
    public var maxAttempts: Int?
    /// Other tags.
    public var tags: [String]?
    /// Refuse when the job's revision is another.
    public var expectedRevision: Int?

    /// An edit that changes nothing until fields are set.
    public init(
        payload: Payload? = nil,
        queue: QueueName? = nil,
        priority: JobPriority? = nil,
        start: NewJob.Start? = nil,
        maxAttempts: Int? = nil,
        tags: [String]? = nil,
        expectedRevision: Int? = nil
    ) {
        self.payload = payload
        self.queue = queue
        self.priority = priority
        self.start = start
        self.maxAttempts = maxAttempts
        self.tags = tags
        self.expectedRevision = expectedRevision
    }

    /// What is wrong with the new values, by the same rules as for a new job; `nil` when they can be stored.
    public var problem: String? {
        if let problem = queue?.problem { return problem }
        if let version = payload?.version, version < 1 { return "the version is \(version); versions start at 1" }
        guard let tags else { return nil }
        if tags.count > NewJob.tagLimit { return "there are \(tags.count) tags; the limit is \(NewJob.tagLimit)" }
        return tags.lazy.compactMap { NameRule.problem(with: $0, what: "tag") }.first
    }
}
