// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

extension Worker {
    /// Makes the worker known, for as long as it takes.
    func register() async {
        var wait: Duration = .milliseconds(100)
        var hasFailed = false
        while vitals.withLock({ !$0.mustStopNow && $0.stoppedAt == nil }) {
            do {
                let sentAt = clock.uptime
                let report = try await store.register(registration)
                vitals.withLock { vitals in
                    vitals.isRegistered = true
                    vitals.lastBeat = sentAt
                }
                storeAnswered(at: clock.uptime)
                if hasFailed { holdRescue() }
                rescued(report)
                return
            } catch {
                hasFailed = true
                storeFailed(error)
                await beatWakeUp.wait(upTo: wait, on: clock)
                wait = min(wait * 2, .seconds(5))
            }
        }
    }

    private var registration: WorkerRegistration {
        let slots = machine.withLock { machine in
            Dictionary(machine.lines.map { ($0.name, $0.slots) }, uniquingKeysWith: { first, _ in first })
        }
        return WorkerRegistration(
            id: id,
            host: SystemFacts.host,
            pid: SystemFacts.pid,
            version: configuration.version,
            names: handlers.names,
            slots: slots
        )
    }

    /// Says every few seconds that the worker is alive and what it holds; learns what it lost and what it should
    /// stop. Runs on a thread of its own.
    func beatLoop() async {
        armFence()
        while !Task.isCancelled {
            await beatWakeUp.wait(upTo: configuration.beatInterval, on: clock)
            if Task.isCancelled { return }
            let sentAt = clock.uptime
            let (held, accounted) = machine.withLock {
                ($0.held.sorted { ($0.job, $0.epoch) < ($1.job, $1.epoch) }, $0.accountedThrough)
            }
            do {
                let answer = try await store.beat(Beat(worker: id, held: held, accountedThrough: accounted))
                storeAnswered(at: clock.uptime)
                await heard(answer, to: held, sentAt: sentAt)
            } catch {
                storeFailed(error)
                metrics.beat(age: clock.uptime - (vitals.withLock { $0.lastBeat } ?? clock.uptime))
            }
        }
    }

    private func heard(_ answer: BeatAnswer, to held: [Lease], sentAt: Duration) async {
        let lastBeat = vitals.withLock { vitals in
            defer { vitals.lastBeat = sentAt }
            return vitals.lastBeat
        }
        if sentAt - (lastBeat ?? sentAt) > configuration.fenceAfter { holdRescue() }
        metrics.beat(age: clock.uptime - sentAt)
        if answer.isKnown {
            let lost = Set(answer.lost)
            for lease in held where lost.contains(lease) { drop(lease) }
            for lease in held where !lost.contains(lease) {
                if let request = answer.cancels[lease.job] { cancel(lease, request) }
            }
            if answer.released > 0 {
                logger.warning(
                    "claims whose answers were lost were given back",
                    metadata: [LogKeys.count: "\(answer.released)"]
                )
                if machine.withLock({ $0.signalled(nil) }) { claimWakeUp.signal() }
            }
        } else {
            await rise()
        }
        let wasFenced = machine.withLock { machine in
            defer { if machine.isFenced { machine.unfence() } }
            return machine.isFenced
        }
        if wasFenced { claimWakeUp.signal() }
    }

    /// The store declared this worker dead and gave its jobs away: all leases are lost, and it goes on under a
    /// new identity.
    private func rise() async {
        let old = id
        let new = chance.workerID(at: clock.now)
        // First the identity: a job that starts meanwhile sees that its lease is another's.
        vitals.withLock { vitals in
            vitals.id = new
            vitals.isRegistered = false
        }
        for job in jobs.all { tell(job, .leaseLost) }
        forget(machine.withLock { $0.removeBuffered { $0.lease.worker == old } }.map(\.lease))
        hurrySettling()
        logger.error("the store declared this worker dead; it goes on under a new identity")
        await register()
    }

    private func drop(_ lease: Lease) {
        if let job = jobs[lease] { tell(job, .leaseLost) }
        forget(machine.withLock { $0.removeBuffered { $0.lease == lease } }.map(\.lease))
        hurrySettling()
    }

    /// A job that waits in the read-ahead is given back; the store then ends it as cancelled.
    private func cancel(_ lease: Lease, _ request: CancelRequest) {
        if let running = jobs[lease] {
            tell(running, .cancelled(request))
        } else {
            giveBack(machine.withLock { $0.removeBuffered { $0.lease == lease } })
        }
    }
}
