// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

extension Worker {
    /// Writes endings as they come. A write carries what gathered during the one before it; while other jobs wait in
    /// memory for a slot it also waits for company, because a commit of a few dozen costs each of them three times as
    /// much as one of hundreds, and the next job does not wait for it.
    func settleLoop(_ lane: SettleLane) async {
        while true {
            let endings = await lane.next(on: clock) { machine.withLock { $0.buffered > 0 } }
            if endings.isEmpty { return }
            let settlements = endings.map { Settlement(lease: $0.lease, outcome: $0.outcome) }
            await settled(endings, await settleWriter.write(settlements))
        }
    }

    /// Has this stored; returns at once.
    func settle(_ ending: Ending) {
        settleLanes[Int(truncatingIfNeeded: ending.lease.job.low % UInt64(settleLanes.count))].put(ending)
    }

    /// Gives back jobs that were claimed and will not be started here.
    func giveBack(_ claimed: [ClaimedJob]) {
        for job in claimed { settle(Ending(lease: job.lease, outcome: .released)) }
        hurrySettling()
    }

    /// No job waits in memory any more, whose end could share a write.
    func hurrySettling() {
        for lane in settleLanes { lane.hurry() }
    }

    /// Gives back what an offer brought after the worker was told to stop.
    func giveBackBuffered() {
        giveBack(machine.withLock { $0.removeBuffered { _ in true } })
    }

    /// Lets go of leases that are settled or lost: there may be room for a claim, or nothing left to stop for.
    func forget(_ leases: [Lease]) {
        let (wantsClaim, isDraining) = machine.withLock { machine in
            for lease in leases { machine.settled(lease) }
            return (machine.wantsClaim, machine.isDraining)
        }
        if wantsClaim { claimWakeUp.signal() }
        if isDraining { shutdownWakeUp.signal() }
    }

    /// Lets go of attempts that are settled or lost.
    func release(_ attempts: [RunningJob]) {
        jobs.remove(attempts)
        forget(attempts.map(\.lease))
    }

    private func settled(_ endings: [Ending], _ results: [SettleWriter.Result]) async {
        var (done, neverStarted): ([RunningJob], [Lease]) = ([], [])
        for (ending, result) in zip(endings, results) {
            guard let job = ending.job else {
                neverStarted.append(ending.lease)
                continue
            }
            if await isSettled(ending, of: job, result) { done.append(job) }
        }
        if !neverStarted.isEmpty { forget(neverStarted) }
        if !done.isEmpty { release(done) }
    }

    /// Takes note of what became of an ending.
    /// - Returns: False when another ending takes its place.
    private func isSettled(_ ending: Ending, of job: RunningJob, _ result: SettleWriter.Result) async -> Bool {
        switch result {
        case .applied(let state): ended(job.record, ending.outcome, state)
        case .leaseLost where job.isCompleted: ended(job.record, ending.outcome, .succeeded)
        case .leaseLost: lost(job)
        case .presumed: await presumed(job, ending.outcome)
        case .failed(let error) where error.code == .invalid && !ending.isLastTry:
            // What the handler returned is what cannot be stored; that it ran can.
            let outcome = Outcome.failed(.permanent, error: StoredError(error), timedOut: false)
            settle(Ending(lease: ending.lease, outcome: outcome, job: job, isLastTry: true))
            return false
        case .failed(let error):
            logger.error(
                "the end of an attempt could not be stored; the job will be given back and run again",
                metadata: [LogKeys.jobID: "\(job.record.id)", LogKeys.error: "\(error)"]
            )
        }
        return true
    }

    /// The answer to a settlement was lost and its repeat refused. If nobody has claimed the job since, it held.
    private func presumed(_ job: RunningJob, _ outcome: Outcome) async {
        let now = try? await store.jobs([job.lease.job], parts: []).first
        if let now, now.epoch == job.lease.epoch, now.state != .running {
            ended(job.record, outcome, now.state)
        } else if job.isCompleted {
            ended(job.record, outcome, .succeeded)
        } else {
            lost(job)
        }
    }

    /// Says how an attempt ended.
    func ended(_ record: JobRecord, _ outcome: Outcome, _ state: JobState) {
        let run = record.startedAt.map { max(clock.now - $0, .zero) } ?? .zero
        metrics.ended(record, outcome.word, after: run)
        events.publish(.ended(record.id, record.name, record.queue, state, outcome))
        guard case .failed(_, let error, _) = outcome else { return }
        logger.error(
            "a job failed for good",
            metadata: [
                LogKeys.jobID: "\(record.id)", LogKeys.jobName: "\(record.name)", LogKeys.outcome: "\(outcome.word)",
                LogKeys.error: "\(error.type): \(error.message)",
            ]
        )
    }

    /// Says that an attempt's end was refused.
    func lost(_ job: RunningJob) {
        let record = job.record
        metrics.leaseLost(record)
        events.publish(.leaseLost(record.id, record.name))
        logger.warning(
            "an attempt lost its lease; nothing was written",
            metadata: [LogKeys.jobID: "\(record.id)", LogKeys.jobName: "\(record.name)"]
        )
    }
}
