// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension JobRecord {
    /// What a settled attempt leaves behind besides the changed record.
    public struct Settled: Sendable, Hashable {
        /// The attempt to add to the history; `nil` for a success at the first try, whose own times tell it.
        public var attempt: Attempt?
        /// The result to keep.
        public var result: Payload?
    }

    /// Writes down how the attempt ended. One function for all engines: success, retry, snooze, release,
    /// cancellation and failure are all outcomes on this road.
    ///
    /// A cancel request wins over everything but a final failure: a job that was asked to stop is never
    /// retried, and ends `cancelled` (reliability.md, S12).
    /// - Precondition: ``isHeld(by:)`` was true.
    public mutating func settle(_ outcome: Outcome, at now: Timestamp) -> Settled {
        let ending = ending(of: outcome)
        var settled = Settled(attempt: historyRow(ending, error: error(of: outcome), at: now), result: nil)
        progress = nil
        switch outcome {
        case .succeeded(let result):
            if cancelRequest != nil { return cancelled(nil, at: now, leaving: settled) }
            settled.result = result
            end(.succeeded, nil, at: now)
        case .retry(let wait, let error, _):
            failures += 1
            self.error = error
            fingerprint = error.fingerprint(of: name)
            if cancelRequest != nil { return cancelled(nil, at: now, leaving: settled) }
            if let deadline, now + wait >= deadline {
                end(.failed, .deadline, at: now)
            } else if failures >= retry.maxAttempts && !retry.followsCode {
                end(.failed, .exhausted, at: now)
            } else {
                pause(as: .retrying, until: now + wait, at: now)
            }
        case .failed(let reason, let error, _):
            failures += 1
            self.error = error
            fingerprint = error.fingerprint(of: name)
            end(.failed, reason, at: now)
        case .snoozed(let wait):
            snoozes += 1
            giveBack()
            if cancelRequest != nil { return cancelled(nil, at: now, leaving: settled) }
            pause(as: .scheduled, until: now + wait, at: now)
        case .released:
            releases += 1
            giveBack()
            if cancelRequest != nil { return cancelled(nil, at: now, leaving: settled) }
            // The old rank stays: the job goes to the front of its priority.
            state = .ready
        case .cancelled(let reason):
            return cancelled(reason, at: now, leaving: settled)
        case .abandoned(let reason):
            self.reason = .abandoned
            return cancelled(reason, at: now, leaving: settled)
        case .undecodable(let error):
            giveBack()
            self.error = error
            fingerprint = error.fingerprint(of: name)
            end(.failed, .undecodable, at: now)
        }
        return settled
    }

    /// The worker that ran the job is dead, or does not know that it holds it. The epoch rises, so a late
    /// write of that worker is refused.
    ///
    /// At crash number `crashesAllowed + 1` the job is `failed(poison)`; otherwise it is ready again at the
    /// front of its priority, or `cancelled` when that was asked for.
    public mutating func rescue(at now: Timestamp) -> Settled {
        let error = StoredError(type: "WorkerLost", message: "the worker \(worker?.description ?? "?") was lost")
        let settled = Settled(attempt: historyRow(.crashed, error: error, at: now), result: nil)
        crashes += 1
        epoch += 1
        progress = nil
        if cancelRequest != nil {
            return cancelled(nil, at: now, leaving: settled)
        }
        if crashes > crashesAllowed {
            self.error = error
            fingerprint = error.fingerprint(of: name)
            end(.failed, .poison, at: now)
        } else {
            state = .ready
        }
        return settled
    }

    /// The claim was never delivered: its answer was lost. Given back without a crash.
    public mutating func releaseUnlisted(at now: Timestamp) -> Settled {
        let settled = Settled(attempt: historyRow(.released, error: nil, at: now), result: nil)
        releases += 1
        epoch += 1
        giveBack()
        if cancelRequest != nil { return cancelled(nil, at: now, leaving: settled) }
        state = .ready
        return settled
    }

    private mutating func cancelled(_ reason: String?, at now: Timestamp, leaving settled: Settled) -> Settled {
        var settled = settled
        if cancelRequest == nil, let reason {
            cancelRequest = CancelRequest(actor: "worker", reason: reason, at: now)
        }
        if settled.attempt?.ending == nil {
            settled.attempt = historyRow(.cancelled, error: nil, at: now)
        }
        end(.cancelled, self.reason == .abandoned ? .abandoned : nil, at: now)
        return settled
    }

    private mutating func end(_ state: JobState, _ reason: FailureReason?, at now: Timestamp) {
        self.state = state
        self.reason = reason
        finishedAt = now
    }

    private mutating func pause(as state: JobState, until instant: Timestamp, at now: Timestamp) {
        runAt = max(instant, now)
        rank = priority.rank(readyAt: runAt)
        self.state = runAt > now ? state : .ready
    }

    private mutating func giveBack() {
        attempt = max(attempt - 1, 0)
    }

    private func historyRow(_ ending: Attempt.Ending, error: StoredError?, at now: Timestamp) -> Attempt? {
        guard let worker, let startedAt else { return nil }
        if ending == .succeeded, attempt == 1, run == 1, crashes == 0, releases == 0, snoozes == 0 { return nil }
        return Attempt(
            run: run,
            number: attempt,
            epoch: epoch,
            worker: worker,
            startedAt: startedAt,
            endedAt: now,
            ending: ending,
            error: error
        )
    }

    private func ending(of outcome: Outcome) -> Attempt.Ending {
        switch outcome {
        case .succeeded: .succeeded
        case .retry(_, _, let timedOut), .failed(_, _, let timedOut): timedOut ? .timedOut : .failed
        case .snoozed: .snoozed
        case .released: .released
        case .cancelled, .abandoned: .cancelled
        case .undecodable: .undecodable
        }
    }

    private func error(of outcome: Outcome) -> StoredError? {
        switch outcome {
        case .retry(_, let error, _), .failed(_, let error, _), .undecodable(let error): error
        case .succeeded, .snoozed, .released, .cancelled, .abandoned: nil
        }
    }
}
