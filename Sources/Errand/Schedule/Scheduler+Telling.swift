// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Logging
import Synchronization

extension Scheduler {
    /// Tells what was decided, and listens for the jobs that the schedule waits for.
    func tell(_ plan: TickPlan, _ rows: [TickRecord]) {
        for row in rows {
            metrics.decided(row)
            events.publish(.ticked(row))
            if row.decision == .refused {
                logger.error(
                    "the store refused the job of a tick",
                    metadata: [
                        LogKeys.schedule: "\(row.schedule)", LogKeys.tick: "\(row.key.rawValue)",
                        LogKeys.reason: "\(row.note ?? "")",
                    ]
                )
            }
        }
        if let job = plan.blockedBy {
            logger.warning(
                "ticks in a row are skipped because an earlier job is not done",
                metadata: [LogKeys.schedule: "\(plan.change.id)", LogKeys.jobID: "\(job)"]
            )
            events.publish(.scheduleBlocked(plan.change.id, by: job))
        }
        guard let record = plan.change.record else { return }
        listen(for: record)
        let isCaughtUp = !plan.isCutShort
        if isCaughtUp { state.withLock { _ = $0.foreign.remove(record.id) } }
    }

    func tellBroken(_ record: ScheduleRecord) {
        let reason = record.reason ?? ""
        logger.error(
            "a schedule is broken; its ticks are kept and tried again",
            metadata: [LogKeys.schedule: "\(record.id)", LogKeys.reason: "\(reason)"]
        )
        events.publish(.scheduleBroken(record.id, reason))
    }

    /// Leaves a schedule to a process that can make its jobs.
    func leave(_ record: ScheduleRecord) {
        let isNew = state.withLock { state in
            state.foreign.count < Self.awaitedLimit && state.foreign.insert(record.id).inserted
        }
        guard isNew else { return }
        logger.notice(
            "a schedule is due whose jobs another program makes; it is left to that",
            metadata: [LogKeys.schedule: "\(record.id)"]
        )
    }

    /// Asks jobs to stop that are in the way of a tick. Asking again does nothing, so a lost call is made up for by the
    /// next look.
    func stop(_ jobs: [JobID], of schedule: ScheduleID) async {
        guard !jobs.isEmpty else { return }
        let operation = Operation(
            .cancel,
            on: .ids(jobs),
            actor: decider,
            reason: "the next tick of \(schedule) is due"
        )
        do {
            _ = try await store.operate(operation)
        } catch {
            storeFailed(error)
        }
    }

    /// Listens for the end of the jobs that a schedule waits for, when it waits.
    private func listen(for record: ScheduleRecord) {
        let waits = record.waits > 0
        let jobs = waits ? record.unfinished.map(\.id) : []
        let (ended, missing) = state.withLock { state in
            let mine = state.awaited.filter { $0.value.schedule == record.id }
            let ended = mine.filter { !jobs.contains($0.key) }
            for job in ended.keys { state.awaited[job] = nil }
            let room = max(Self.awaitedLimit - state.awaited.count, 0)
            return (ended.values.map(\.registration), jobs.filter { mine[$0] == nil }.prefix(room))
        }
        for registration in ended { registration.cancel() }
        for job in missing {
            let registration = store.hub.watch(job)
            state.withLock { $0.awaited[job] = (record.id, registration) }
        }
    }
}
