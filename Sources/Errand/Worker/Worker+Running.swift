// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

extension Worker {
    /// Starts claimed jobs, each as a task of its own on the handlers' threads.
    func start(_ claimed: [ClaimedJob]) {
        for job in claimed { start(job) }
    }

    private func start(_ claimed: ClaimedJob) {
        let running = RunningJob(
            claimed,
            isDraining: { [weak self] in
                self?.machine.withLock { $0.isDraining } ?? true
            }
        )
        jobs.add(running)
        // A fence or a new identity that came since the claim did not find it among the jobs.
        if claimed.lease.worker != id { tell(running, .leaseLost) }
        if machine.withLock({ $0.isFenced }) { tell(running, .fenced) }
        let record = claimed.record
        let limit = attemptLimit(of: record)
        let wait = (record.startedAt ?? record.runAt) - record.runAt
        metrics.started(record, after: max(wait, .zero))
        events.publish(.started(record.id, record.name, record.queue, attempt: record.attempt))
        if let limit {
            running.keep(clock.schedule(after: limit) { [weak self] in self?.tell(running, .timeout) })
        }
        let context = context(for: running, limit: limit)
        let lane = WorkLane(name: record.name.rawValue, pool: pool)
        running.attach(Task(executorPreference: lane) { await self.perform(running, context) })
    }

    /// How long this attempt may take: its timeout, or less when the job's deadline is nearer.
    private func attemptLimit(of record: JobRecord) -> Duration? {
        let untilDeadline = record.deadline.flatMap { deadline in record.startedAt.map { deadline - $0 } }
        return switch (record.timeout, untilDeadline) {
        case (let timeout?, let left?): min(timeout, left)
        case (let limit?, nil), (nil, let limit?): limit
        case (nil, nil): nil
        }
    }

    private func context(for running: RunningJob, limit: Duration?) -> JobContext {
        let record = running.record
        var logger = logger
        logger[metadataKey: LogKeys.jobID] = "\(record.id)"
        logger[metadataKey: LogKeys.jobName] = "\(record.name)"
        logger[metadataKey: LogKeys.queue] = "\(record.queue)"
        logger[metadataKey: LogKeys.attempt] = "\(record.attempt)"
        return JobContext(
            logger: logger,
            deadline: limit.flatMap { limit in record.startedAt.map { $0 + limit } },
            running: running,
            notes: notes,
            store: store,
            clock: clock
        )
    }

    private func perform(_ running: RunningJob, _ context: JobContext) async {
        let end = await executor.run(context)
        await notes.flush(running.lease)
        guard let cause = running.end() else {
            // It was abandoned long ago: the slot is somebody else's and nothing may be written.
            let zombies = vitals.withLock { vitals in
                vitals.zombies -= 1
                return vitals.zombies
            }
            metrics.zombies(zombies)
            context.logger.notice("an abandoned handler came to its end; its result is refused")
            return
        }
        await conclude(running, end, cause)
    }

    /// Tells a handler to stop; if it has not after the grace, its slot is taken from it.
    func tell(_ running: RunningJob, _ cause: StopCause) {
        guard running.stop(cause) else { return }
        running.keep(clock.schedule(after: configuration.grace) { [weak self] in self?.abandon(running) })
    }

    /// Frees the slot of a handler that ignores its cancellation. The task goes on as a zombie; what it returns
    /// is refused.
    func abandon(_ running: RunningJob) {
        guard let cause = running.end() else { return }
        let zombies = vitals.withLock { vitals in
            vitals.zombies += 1
            return vitals.zombies
        }
        let record = running.record
        metrics.abandoned(record)
        metrics.zombies(zombies)
        events.publish(.abandoned(record.id, record.name))
        logger.error(
            "a handler ignores its cancellation; its slot is freed and its late result will be refused",
            metadata: [
                LogKeys.jobID: "\(record.id)", LogKeys.jobName: "\(record.name)", LogKeys.count: "\(zombies)",
            ]
        )
        Task(executorPreference: control) { await self.conclude(running, .abandoned, cause) }
    }

    /// Decides what the end of an attempt means, frees the slot, and tells the store.
    private func conclude(_ running: RunningJob, _ end: AttemptEnd, _ cause: StopCause?) async {
        let record = running.record
        let decision = OutcomeDecision(
            record: record,
            codePolicy: handlers[record.name]?.retry,
            cause: cause,
            now: clock.now
        )
        let outcome = chance.draw { decision.outcome(of: end, using: &$0) }
        start(machine.withLock { $0.ended(in: record.queue) })
        if machine.withLock({ $0.wantsClaim }) { claimWakeUp.signal() }
        if let outcome {
            await settle(running, outcome)
        } else if running.isCompleted {
            ended(record, .succeeded(result: nil), .succeeded)
        } else {
            lost(running)
        }
        jobs.remove(running)
        forget([running.lease])
    }

    /// Lets go of leases that are settled or lost: there may be room for a claim, or nothing left to stop for.
    func forget(_ leases: [Lease]) {
        let (wantsClaim, isDraining) = machine.withLock { machine in
            var wantsClaim = false
            for lease in leases { wantsClaim = machine.settled(lease) }
            return (wantsClaim, machine.isDraining)
        }
        if wantsClaim { claimWakeUp.signal() }
        if isDraining { shutdownWakeUp.signal() }
    }

    private func settle(_ running: RunningJob, _ outcome: Outcome, isLastTry: Bool = false) async {
        let record = running.record
        // The batcher throws only what the writer throws, and the writer throws nothing.
        let results = try? await settler.submit([Settlement(lease: running.lease, outcome: outcome)])
        switch results?.first {
        case .applied(let state): ended(record, outcome, state)
        case .leaseLost where running.isCompleted: ended(record, outcome, .succeeded)
        case .leaseLost: lost(running)
        case .presumed: await presumed(running, outcome)
        case .failed(let error) where error.code == .invalid && !isLastTry:
            // What the handler returned is what cannot be stored; that it ran can.
            let stored = StoredError(error)
            await settle(running, .failed(.permanent, error: stored, timedOut: false), isLastTry: true)
        case .failed(let error):
            logger.error(
                "the end of an attempt could not be stored; the job will be given back and run again",
                metadata: [LogKeys.jobID: "\(record.id)", LogKeys.error: "\(error)"]
            )
        case nil: break
        }
    }

    /// The answer to a settlement was lost and its repeat refused. If nobody has claimed the job since, it held.
    private func presumed(_ running: RunningJob, _ outcome: Outcome) async {
        let now = try? await store.jobs([running.lease.job], parts: []).first
        if let now, now.epoch == running.lease.epoch, now.state != .running {
            ended(running.record, outcome, now.state)
        } else if running.isCompleted {
            ended(running.record, outcome, .succeeded)
        } else {
            lost(running)
        }
    }

    private func ended(_ record: JobRecord, _ outcome: Outcome, _ state: JobState) {
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

    private func lost(_ running: RunningJob) {
        let record = running.record
        metrics.leaseLost(record)
        events.publish(.leaseLost(record.id, record.name))
        logger.warning(
            "an attempt lost its lease; nothing was written",
            metadata: [LogKeys.jobID: "\(record.id)", LogKeys.jobName: "\(record.name)"]
        )
    }

    /// Gives back jobs that were claimed and will not be started here.
    func giveBack(_ claimed: [ClaimedJob]) {
        guard !claimed.isEmpty else { return }
        Task(executorPreference: control) {
            _ = try? await self.settler.submit(claimed.map { Settlement(lease: $0.lease, outcome: .released) })
            self.forget(claimed.map(\.lease))
        }
    }

    /// Gives back what an offer brought after the worker was told to stop.
    func giveBackBuffered() {
        giveBack(machine.withLock { $0.removeBuffered { _ in true } })
    }
}
