// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

extension Worker {
    /// Keeps the store healthy, a bite at a time. Every worker does it; each task is safe to repeat.
    func maintenanceLoop() async {
        var plan = MaintenancePlan()
        while !Task.isCancelled {
            await maintenanceWakeUp.wait(upTo: configuration.maintenanceInterval, on: clock)
            if Task.isCancelled { return }
            for duty in plan.round(at: clock.uptime, mayRescue: mayRescue) where await carryOut(duty) {
                plan.found(duty)
            }
        }
    }

    /// - Returns: Whether it found something to do.
    private func carryOut(_ duty: MaintenancePlan.Duty) async -> Bool {
        switch duty {
        case .rescue: return await maintain(.rescue(silence: configuration.deadAfter, sparing: id))
        case .expire: return await maintain(.expire)
        case .prune: return await maintain(.prune(configuration.retention))
        case .sampleDepth: return await sampleDepth()
        case .sweep: return await maintain(.sweep)
        case .findOrphans:
            // What waits in vain goes on doing so: looking again does not help it.
            _ = await maintain(.findOrphans(olderThan: configuration.orphanAlarmAfter))
            return false
        }
    }

    /// One task until it has no more to do, at most 100 bites, so that a large backlog cannot keep the others
    /// from their turn.
    /// - Returns: Whether it found something to do.
    private func maintain(_ task: MaintenanceTask) async -> Bool {
        var hasFound = false
        for _ in 0..<100 {
            do {
                let report = try await store.maintain(task)
                rescued(report)
                if case .findOrphans = task { orphaned(report.orphans) }
                hasFound = hasFound || report.affected > 0
                guard report.hasMore, !Task.isCancelled else { return hasFound }
            } catch {
                storeFailed(error)
                return true
            }
        }
        return true
    }

    private func sampleDepth() async -> Bool {
        guard let counts = try? await store.counts() else { return true }
        metrics.depth(counts, queues: machine.withLock { $0.lines.map(\.name) })
        return false
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
