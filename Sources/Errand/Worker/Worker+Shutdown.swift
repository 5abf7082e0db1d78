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
        let isFirst = vitals.withLock { vitals in
            defer { vitals.stoppedAt = vitals.stoppedAt ?? uptime }
            if stop == .now { vitals.mustStopNow = true }
            return vitals.stoppedAt == nil
        }
        if isFirst { armExit() }
        drainFlag.set()
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
        if extra > .zero {
            let budget = (steps.exitAfter + extra).inSeconds.rounded(.up)
            logger.notice(
                "running jobs may take longer than the shutdown budget; give the process at least this many seconds",
                metadata: [LogKeys.duration: "\(budget)"]
            )
        }
        await waitUntilEmpty(steps.cancelAfter)
        for job in jobs.all { tell(job, .shutdown) }
        await waitUntilEmpty(steps.giveBackAfter)
        for job in jobs.all { abandon(job) }
        exitFlag.set()
        await waitUntilEmpty(steps.exitAfter, evenIfNow: true)
    }

    /// Jobs may have longer than the worker's own budget: as long as such a job runs, all steps move with it.
    private var extra: Duration {
        let longest = jobs.all.compactMap { handlers[$0.record.name]?.finishWithin }.max() ?? .zero
        return max(longest - configuration.shutdown.cancelAfter, .zero)
    }

    /// Waits until no lease is held, or until this long after the stop signal.
    private func waitUntilEmpty(_ end: Duration, evenIfNow: Bool = false) async {
        while true {
            let (stoppedAt, mustStopNow) = vitals.withLock { ($0.stoppedAt ?? .zero, $0.mustStopNow) }
            if machine.withLock({ $0.held.isEmpty }) { return }
            if mustStopNow && !evenIfNow { return }
            let left = stoppedAt + end + extra - clock.uptime
            guard left > .zero else { return }
            await shutdownWakeUp.wait(upTo: left, on: clock)
        }
    }

    /// Makes `run()` return when the budget is over, even if a store that hangs holds one of the loops or the
    /// retirement. A second beyond the last step, which usually ends everything by itself.
    private func armExit() {
        let stoppedAt = vitals.withLock { $0.stoppedAt } ?? clock.uptime
        let left = stoppedAt + configuration.shutdown.exitAfter + extra + .seconds(1) - clock.uptime
        guard left > .zero else {
            logger.warning("the store did not let the worker end in time; what it holds there will be rescued")
            hasStopped.open()
            return
        }
        let timer = clock.schedule(after: left) { [weak self] in self?.armExit() }
        hasStopped.onOpen { timer.cancel() }
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
