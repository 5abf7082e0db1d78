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
        let running = RunningJob(claimed, drainFlag: drainFlag)
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
        running.attach(Task(executorPreference: lanes[record.name] ?? control) { await self.perform(running, context) })
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
        logger.handler = FactsLogHandler(logger.handler) {
            [
                LogKeys.jobID: "\(record.id)", LogKeys.jobName: "\(record.name)", LogKeys.queue: "\(record.queue)",
                LogKeys.attempt: "\(record.attempt)",
            ]
        }
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
        if !notes.isQuiet { await notes.flush(running.lease) }
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
        conclude(running, end, cause)
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
        conclude(running, .abandoned, cause)
    }

    /// Decides what the end of an attempt means, frees the slot, and has it stored.
    private func conclude(_ running: RunningJob, _ end: AttemptEnd, _ cause: StopCause?) {
        let record = running.record
        let decision = OutcomeDecision(
            record: record,
            codePolicy: handlers[record.name]?.retry,
            cause: cause,
            now: clock.now
        )
        let outcome = chance.draw { decision.outcome(of: end, using: &$0) }
        let (next, wantsClaim, isLast) = machine.withLock { machine in
            let next = machine.ended(in: record.queue)
            return (next, machine.wantsClaim, !next.isEmpty && machine.buffered == 0)
        }
        start(next)
        if wantsClaim { claimWakeUp.signal() }
        if isLast { hurrySettling() }
        if let outcome {
            settle(Ending(lease: running.lease, outcome: outcome, job: running))
        } else {
            if running.isCompleted { ended(record, .succeeded(result: nil), .succeeded) } else { lost(running) }
            release([running])
        }
    }
}
