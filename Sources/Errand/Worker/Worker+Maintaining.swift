// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

extension Worker {
    /// Keeps the store healthy, a bite at a time. Every worker does it; each task is safe to repeat.
    func maintenanceLoop() async {
        var round = 0
        while !Task.isCancelled {
            await maintenanceWakeUp.wait(upTo: configuration.maintenanceInterval, on: clock)
            if Task.isCancelled { return }
            if mayRescue { await maintain(.rescue(silence: configuration.deadAfter, sparing: id)) }
            await maintain(.expire)
            await maintain(.prune(configuration.retention))
            await sampleDepth()
            // Once a minute is often enough for what only costs space or raises alarms.
            if round % 12 == 0 {
                await maintain(.sweep)
                await maintain(.findOrphans(olderThan: configuration.orphanAlarmAfter))
            }
            round += 1
        }
    }

    /// One task until it has no more to do, at most 100 bites, so that a large backlog cannot keep the others
    /// from their turn.
    private func maintain(_ task: MaintenanceTask) async {
        for _ in 0..<100 {
            do {
                let report = try await store.maintain(task)
                rescued(report)
                if case .findOrphans = task { orphaned(report.orphans) }
                guard report.hasMore, !Task.isCancelled else { return }
            } catch {
                storeFailed(error)
                return
            }
        }
    }

    private func sampleDepth() async {
        guard let counts = try? await store.counts() else { return }
        metrics.depth(counts, queues: machine.withLock { $0.lines.map(\.name) })
    }

    /// Raises the alarm once for each name that waits in vain.
    private func orphaned(_ orphans: [OrphanedName]) {
        let names = Set(
            orphans.map { OrphanedName(queue: $0.queue, name: $0.name, version: $0.version, count: 0, since: .epoch) }
        )
        let new = vitals.withLock { vitals in
            defer { vitals.orphans = names }
            return names.subtracting(vitals.orphans)
        }
        guard !new.isEmpty else { return }
        for orphan in orphans {
            logger.error(
                "jobs wait and no live worker knows their name and version; deploy one that does",
                metadata: [
                    LogKeys.jobName: "\(orphan.name)@\(orphan.version)", LogKeys.queue: "\(orphan.queue)",
                    LogKeys.count: "\(orphan.count)", LogKeys.since: "\(orphan.since.milliseconds)",
                ]
            )
        }
        events.publish(.orphaned(orphans))
    }
}
