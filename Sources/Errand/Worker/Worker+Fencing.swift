// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

extension Worker {
    /// Checks every second, from the clock's thread, that the last acknowledged beat was sent recently enough.
    func armFence() {
        guard !exitFlag.isSet else { return }
        clock.schedule(after: .seconds(1)) { [weak self] in
            self?.fenceIfSilent()
            self?.armFence()
        }
    }

    private func fenceIfSilent() {
        let now = clock.uptime
        guard let last = vitals.withLock({ $0.lastBeat }), now - last > configuration.fenceAfter else { return }
        let (isNew, buffered) = machine.withLock { machine in
            machine.isFenced ? (false, []) : (true, machine.fence())
        }
        guard isNew else { return }
        logger.error(
            "no beat reached the store for too long; claims stop and running jobs are cancelled",
            metadata: [LogKeys.duration: "\((now - last).inSeconds)"]
        )
        events.publish(.fenced)
        giveBack(buffered)
        for job in jobs.all { tell(job, .fenced) }
    }

    /// The store was away, for others as well: whoever lives gets the time to say so before this worker takes its
    /// silence for death.
    func holdRescue() {
        let until = clock.uptime + configuration.deadAfter
        vitals.withLock { $0.mayRescueAt = until }
    }

    /// Whether silence means death: this worker's own beats get through, and have for long enough. Else it would
    /// take the jobs of the living, its own first.
    var mayRescue: Bool {
        let now = clock.uptime
        return vitals.withLock { vitals in
            guard let lastBeat = vitals.lastBeat else { return false }
            return now - lastBeat <= configuration.fenceAfter && now >= vitals.mayRescueAt
        }
    }

    /// Says what a rescue found.
    func rescued(_ report: MaintenanceReport) {
        guard !report.rescued.isEmpty || !report.deadWorkers.isEmpty else { return }
        logger.warning(
            "workers died; their jobs were given back",
            metadata: [LogKeys.count: "\(report.rescued.count)", LogKeys.worker: "\(report.deadWorkers)"]
        )
        events.publish(.rescued(report.rescued))
        if machine.withLock({ $0.signalled(nil) }) { claimWakeUp.signal() }
    }
}
