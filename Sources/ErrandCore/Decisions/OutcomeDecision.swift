// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How a handler came to an end, as the executor saw it.
public enum AttemptEnd: Sendable {
    /// It returned, with its encoded result if there is one to keep.
    case returned(Payload?)
    /// It threw a value that says what to do.
    case steered(Steering)
    /// It threw an error.
    case threw(StoredError, advice: RetryAdvice)
    /// The payload could not be decoded; the handler never started.
    case undecodable(StoredError)
    /// It did not stop within the grace after it was told to; it may still be running.
    case abandoned

    /// What a thrown steering value asks for.
    public enum Steering: Sendable, Hashable {
        /// Run again after this long; not counted.
        case snooze(Duration)
        /// Counted failure, but try again after this long.
        case retry(after: Duration, StoredError)
        /// Final failure.
        case fail(StoredError)
        /// End as cancelled.
        case cancel(String)
    }
}

/// What an error itself says about trying again.
public enum RetryAdvice: Sendable, Hashable {
    /// The job's policy decides.
    case policy
    /// Try again after this long, if the policy allows another attempt; an HTTP 429's Retry-After.
    case after(Duration)
    /// Trying again is of no use.
    case never
}

/// Why the runtime told a handler to stop. The same `CancellationError` means something else for each.
public enum StopCause: Sendable, Hashable {
    /// The process shuts down: the attempt is given back.
    case shutdown
    /// Somebody cancelled the job.
    case cancelled(CancelRequest)
    /// The attempt ran longer than its timeout: a counted failure.
    case timeout
    /// The store says that somebody else holds the job: nothing is written.
    case leaseLost
    /// The worker could not reach the store for so long that it no longer trusts its leases: the attempt is
    /// given back if the lease still holds.
    case fenced
}

/// The decision at the end of every attempt: result, record, policy and time in, outcome out. Pure, so that one
/// table test covers it.
public struct OutcomeDecision: Sendable {
    /// The job as claimed.
    public var record: JobRecord
    /// The policy the worker's code has for the job type; used when the stored one follows the code.
    public var codePolicy: RetryPolicy?
    /// Why the runtime told it to stop, if it did.
    public var cause: StopCause?
    /// Store time.
    public var now: Timestamp

    /// A decision about this record.
    public init(record: JobRecord, codePolicy: RetryPolicy? = nil, cause: StopCause? = nil, now: Timestamp) {
        self.record = record
        self.codePolicy = codePolicy
        self.cause = cause
        self.now = now
    }

    /// What to tell the store; `nil` when nothing may be written.
    public func outcome(of end: AttemptEnd, using generator: inout some RandomNumberGenerator) -> Outcome? {
        if cause == .leaseLost { return nil }
        switch end {
        case .undecodable(let error): return .undecodable(error)
        case .returned(let result): return .succeeded(result: result)
        case .steered(.snooze(let wait)): return .snoozed(max(wait, .zero))
        case .steered(.cancel(let reason)): return .cancelled(reason: reason)
        case .steered(.fail(let error)): return .failed(.permanent, error: error, timedOut: false)
        case .steered(.retry(let wait, let error)):
            return stopped(by: error) ?? failure(error, wait: wait, using: &generator)
        case .threw(let error, let advice):
            if let outcome = stopped(by: error) { return outcome }
            if cause == .timeout { return failure(timeoutError(error), wait: nil, using: &generator) }
            switch advice {
            case .policy: return failure(error, wait: nil, using: &generator)
            case .after(let wait): return failure(error, wait: wait, using: &generator)
            case .never: return .failed(.permanent, error: error, timedOut: false)
            }
        case .abandoned:
            switch cause {
            case .cancelled(let request): return .abandoned(reason: request.reason)
            case .shutdown, .fenced: return .released
            case .timeout, .leaseLost, nil: return failure(timeoutError(nil), wait: nil, using: &generator)
            }
        }
    }

    /// What an error means when the runtime had told the handler to stop: any error, because libraries wrap
    /// cancellation in errors of their own.
    private func stopped(by error: StoredError) -> Outcome? {
        switch cause {
        case .shutdown, .fenced: .released
        case .cancelled(let request): .cancelled(reason: request.reason)
        case .timeout, .leaseLost, nil: nil
        }
    }

    private func failure(
        _ error: StoredError,
        wait: Duration?,
        using generator: inout some RandomNumberGenerator
    ) -> Outcome {
        let policy = record.retry.followsCode ? (codePolicy ?? record.retry) : record.retry
        let number = record.failures + 1
        let timedOut = cause == .timeout
        if number >= policy.maxAttempts { return .failed(.exhausted, error: error, timedOut: timedOut) }
        let wait = max(wait ?? policy.backoff.wait(afterFailure: number, using: &generator), .zero)
        if let deadline = record.deadline, now + wait >= deadline {
            return .failed(.deadline, error: error, timedOut: timedOut)
        }
        return .retry(after: wait, error: error, timedOut: timedOut)
    }

    private func timeoutError(_ error: StoredError?) -> StoredError {
        let limit = record.timeout.map { "\($0.inSeconds) s" } ?? "its limit"
        let end = error.map { "; it ended with \($0.type): \($0.message)" } ?? ""
        return StoredError(type: "TimedOut", message: "the attempt ran longer than \(limit)\(end)")
    }
}
