// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension JobRecord {
    /// Whether the job has not been started in time: past its start-by or its deadline.
    public func isLate(at now: Timestamp) -> Bool {
        if let startBy, startBy <= now, startedAt == nil { return true }
        if let deadline, deadline <= now { return true }
        return false
    }

    /// Whether the job is late and would be expired as soon as anybody looks: it will not run any more.
    public func isOverdue(at now: Timestamp) -> Bool {
        state.isPending && hold == nil && isLate(at: now)
    }

    /// A due job becomes ready; its rank counts from the time it was due, so that a late promotion costs it
    /// nothing. Does nothing when it is not due or is held.
    /// - Returns: Whether it became ready.
    @discardableResult
    public mutating func promote(at now: Timestamp) -> Bool {
        guard state == .scheduled || state == .retrying, hold == nil, runAt <= now else { return false }
        state = .ready
        rank = priority.rank(readyAt: runAt)
        return true
    }

    /// The job starts under a new lease of `worker`.
    /// - Precondition: the caller checked that it is `ready`, not held and not late.
    /// - Returns: The lease; its ``Lease/row`` is `row`.
    public mutating func claim(by worker: WorkerID, at now: Timestamp, row: Int64 = 0) -> Lease {
        state = .running
        self.worker = worker
        epoch += 1
        attempt += 1
        startedAt = now
        progress = nil
        return Lease(job: id, worker: worker, epoch: epoch, row: row)
    }

    /// The job was not started in time.
    public mutating func expire(at now: Timestamp) {
        state = .expired
        reason = deadline.map { $0 <= now } == true ? .deadline : nil
        finishedAt = now
    }

    /// Whether `lease` is the one that holds this job now.
    public func isHeld(by lease: Lease) -> Bool {
        state == .running && id == lease.job && worker == lease.worker && epoch == lease.epoch
    }
}
