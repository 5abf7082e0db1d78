// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

extension Worker {
    /// How a stop begins.
    enum Stop {
        /// In the steps of ``WorkerShutdown``.
        case gracefully
        /// Everything is given back now.
        case now
    }

    /// Stops claiming now and starts the clock of ``WorkerShutdown``, before the service group gets to the
    /// worker. For servers that end other services first: one budget then holds for all of them.
    public func stopClaiming() {
        stop(.gracefully)
    }

    /// A stop signal. The second one gives everything back at once.
    func stop(_ stop: Stop) {
        let uptime = clock.uptime
        vitals.withLock { vitals in
            if vitals.stoppedAt == nil { vitals.stoppedAt = uptime }
            if stop == .now { vitals.mustStopNow = true }
        }
        giveBack(machine.withLock { $0.drain() })
        claimWakeUp.signal()
        shutdownWakeUp.signal()
        beatWakeUp.signal()
    }

    /// Waits for the stop signal, then takes the named steps: let jobs finish, cancel them, give them back.
    func shutDown() async {
        while vitals.withLock({ $0.stoppedAt == nil }) {
            await shutdownWakeUp.wait(upTo: nil, on: clock)
        }
        giveBackBuffered()
        logger.info("the worker stops: no more claims", metadata: [LogKeys.count: "\(jobs.all.count)"])
        let steps = configuration.shutdown
        // Jobs may have longer than the worker's own budget; then all later steps move with them.
        let extra = max(longestFinish() - steps.cancelAfter, .zero)
        if extra > .zero {
            let budget = (steps.exitAfter + extra).inSeconds.rounded(.up)
            logger.notice(
                "running jobs may take longer than the shutdown budget; give the process at least this many seconds",
                metadata: [LogKeys.duration: "\(budget)"]
            )
        }
        await waitUntilEmpty(steps.cancelAfter + extra)
        for job in jobs.all { tell(job, .shutdown) }
        await waitUntilEmpty(steps.giveBackAfter + extra)
        for job in jobs.all { abandon(job) }
        exitFlag.set()
        await waitUntilEmpty(steps.exitAfter + extra, evenIfNow: true)
    }

    private func longestFinish() -> Duration {
        jobs.all.compactMap { handlers[$0.record.name]?.finishWithin }.max() ?? .zero
    }

    /// Waits until nothing runs and nothing is unsettled, or until this long after the stop signal.
    private func waitUntilEmpty(_ end: Duration, evenIfNow: Bool = false) async {
        while true {
            let (stoppedAt, mustStopNow) = vitals.withLock { ($0.stoppedAt ?? .zero, $0.mustStopNow) }
            if jobs.isEmpty, machine.withLock({ $0.unsettled == 0 }) { return }
            if mustStopNow && !evenIfNow { return }
            let left = stoppedAt + end - clock.uptime
            guard left > .zero else { return }
            await shutdownWakeUp.wait(upTo: left, on: clock)
        }
    }

    /// Takes the worker out of the store, which gives back whatever it still holds there.
    func retire() async {
        guard vitals.withLock({ $0.isRegistered }) else { return }
        do {
            try await store.retire(id)
        } catch {
            logger.warning(
                "the worker could not be taken out of the store; others will notice that it is gone",
                metadata: [LogKeys.error: "\(error)"]
            )
        }
    }
}
