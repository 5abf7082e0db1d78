// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

extension Worker {
    /// Asks for as many jobs as there is room for, whenever there is room and may be work. Woken by signals and
    /// ending jobs, looking by itself now and then.
    func claimLoop() async {
        var backoff: Duration = .milliseconds(100)
        while !Task.isCancelled {
            let uptime = clock.uptime
            guard let request = machine.withLock({ $0.claimRequest(at: uptime) }) else {
                let idle = machine.withLock { $0.idleTime(at: uptime) }
                if idle != .zero { await claimWakeUp.wait(upTo: idle, on: clock) }
                continue
            }
            do {
                let answer = try await store.claim(
                    ClaimRequest(
                        worker: id,
                        names: handlers.names,
                        queues: request.queues,
                        limit: request.limit,
                        order: request.order
                    )
                )
                let now = clock.uptime
                backoff = .milliseconds(100)
                storeAnswered(at: now)
                vitals.withLock { $0.lastClaim = now }
                metrics.claimed(in: now - uptime)
                start(machine.withLock { $0.claimAnswered(answer, at: now) })
                if machine.withLock({ $0.startsNothing }) { giveBackBuffered() }
            } catch {
                let now = clock.uptime
                machine.withLock { $0.claimFailed(at: now, retryAfter: backoff) }
                if (error as? StoreError)?.code == .notFound {
                    // The store does not know this worker any more: the next beat finds out why.
                    beatWakeUp.signal()
                } else {
                    storeFailed(error)
                }
                backoff = min(backoff * 2, .seconds(5))
            }
        }
    }

    /// Starts what offers brought. Not where it was delivered: that is inside the call that enqueued the job, and a
    /// handler must not inherit the task-local values of somebody's request.
    func startLoop() async {
        while !Task.isCancelled {
            await startWakeUp.wait(upTo: nil, on: clock)
            start(machine.withLock { $0.startDelivered() })
        }
    }

    /// A signal of the store: wakes whoever it concerns. Runs on the thread of whoever published it.
    func hear(_ signal: StoreSignal) {
        switch signal {
        case .work(let queues):
            if machine.withLock({ $0.signalled(queues) }) { claimWakeUp.signal() }
        case .cancelled(let ids):
            // The next beat brings the requests with their reasons; ask now instead of in 5 s.
            if jobs.contains(anyOf: Set(ids)) { beatWakeUp.signal() }
        case .elsewhere:
            if machine.withLock({ $0.signalled(nil) }) { claimWakeUp.signal() }
            hearElsewhere()
        case .controls:
            if machine.withLock({ $0.signalled(nil) }) { claimWakeUp.signal() }
        case .finished:
            break
        }
    }

    /// Another process wrote: perhaps a cancel of a job that runs here. Beats come sooner, but at most every
    /// half second.
    private func hearElsewhere() {
        guard !jobs.isEmpty, let lastBeat = vitals.withLock({ $0.lastBeat }) else { return }
        let wait = lastBeat + .milliseconds(500) - clock.uptime
        if wait <= .zero {
            beatWakeUp.signal()
        } else if vitals.withLock({ vitals in
            defer { vitals.isBeatAdvanced = true }
            return !vitals.isBeatAdvanced
        }) {
            clock.schedule(after: wait) { [weak self] in
                self?.vitals.withLock { $0.isBeatAdvanced = false }
                self?.beatWakeUp.signal()
            }
        }
    }

    /// How this worker takes jobs that this process inserts while slots are free: stored and claimed in one act.
    func offerSource() -> LocalHub.OfferSource {
        LocalHub.OfferSource(
            reserve: { [weak self] jobs in
                guard let self, vitals.withLock({ $0.isRegistered }) else { return nil }
                let names = handlers.names
                guard let slots = machine.withLock({ $0.reserve(for: jobs, names: names) }) else { return nil }
                return ClaimOffer(worker: id, names: names, slots: slots)
            },
            deliver: { [weak self] offer, claimed in
                guard let self else { return }
                machine.withLock { $0.delivered(claimed, of: offer.slots) }
                if !claimed.isEmpty { startWakeUp.signal() }
                if machine.withLock({ $0.wantsClaim }) { claimWakeUp.signal() }
                if machine.withLock({ $0.startsNothing }) { giveBackBuffered() }
            }
        )
    }

    /// The store answered; says so once if it had been lost.
    func storeAnswered(at uptime: Duration) {
        let isBack = vitals.withLock { vitals in
            vitals.lastAnswer = uptime
            defer { vitals.isStoreLost = false }
            return vitals.isStoreLost
        }
        guard isBack else { return }
        logger.notice("the store is back; claims resume")
        events.publish(.storeBack)
    }

    /// The store failed; says so once until it is back.
    func storeFailed(_ error: any Error) {
        let isNew = vitals.withLock { vitals in
            defer { vitals.isStoreLost = true }
            return !vitals.isStoreLost
        }
        guard isNew else { return }
        let error = error as? StoreError ?? StoreError(.unavailable, "the store failed", cause: error)
        logger.error("the store is lost; trying again for ever", metadata: [LogKeys.error: "\(error)"])
        events.publish(.storeLost(error))
    }

    /// How the worker is.
    public var health: WorkerHealth {
        let now = clock.uptime
        let (isStopped, isFenced, running) = machine.withLock { ($0.isDraining, $0.isFenced, $0.running) }
        return vitals.withLock { vitals in
            WorkerHealth(
                isReady: vitals.isRegistered && !isStopped && !isFenced,
                lastAnswerAge: vitals.lastAnswer.map { now - $0 },
                lastClaimAge: vitals.lastClaim.map { now - $0 },
                isStoreLost: vitals.isStoreLost,
                running: running,
                zombies: vitals.zombies,
                shouldRestart: vitals.zombies >= 3 || vitals.zombies * 10 >= max(configuration.concurrency, 10)
            )
        }
    }
}
