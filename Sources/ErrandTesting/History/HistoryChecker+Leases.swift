// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

extension HistoryChecker {
    // MARK: A lease begins and ends

    mutating func claimed(_ before: JobRecord, _ after: JobRecord, _ event: HistoryEvent, _ index: Int) {
        let id = after.id
        tally[.started, default: 0] += 1
        if after.epoch <= jobs[id]?.topEpoch ?? 0 { blame("S4", "epoch \(after.epoch) was given before", id, index) }
        jobs[id]?.topEpoch = after.epoch
        jobs[id]?.misses = 0
        if before.hold != nil { blame("S6", "a held job was claimed", id, index) }
        if before.runAt > latest { blame("S6", "a job was claimed before its time", id, index) }
        if before.startedAt == nil, let end = before.startBy, end <= event.at {
            blame("S6", "a job was claimed after its start-by", id, index)
        }
        // One that was over once is over, even if the clock steps back.
        if pauses.values.contains(where: { $0.covers(queue: before.queue, name: before.name, at: latest) }) {
            blame("S6", "a paused job was claimed", id, index)
        }
        if jobs[id]?.cancelledRun == after.run { blame("S12", "a cancelled job was claimed", id, index) }
        if let worker = after.worker { workers[worker]?.holds.insert(id) }
        checkWait(of: id, at: event.uptime, index)
    }

    mutating func left(
        _ before: JobRecord,
        _ after: JobRecord,
        _ cause: Cause,
        _ event: HistoryEvent,
        _ index: Int
    ) {
        guard let worker = before.worker else { return }
        workers[worker]?.holds.remove(before.id)
        checkRescueTime(of: before, by: worker, at: event.uptime, index)
        switch cause {
        case .settle, .retire: break
        case .rescue(let silence):
            tally[.crashed, default: 0] += 1
            jobs[before.id]?.topEpoch = after.epoch
            guard let seen = workers[worker]?.lastSeen, seen + silence >= event.at else { return }
            blame("S8", "a job was rescued from a worker that beat \(event.at - seen) ago", before.id, index)
        case .unlisted(let beat):
            jobs[before.id]?.topEpoch = after.epoch
            if beat.held.contains(where: { $0.job == before.id && $0.epoch == before.epoch }) {
                blame("S8", "a beat gave back a lease that it lists", before.id, index)
            } else if jobs[before.id]?.started.contains(before.epoch) == true, event.at >= latest {
                // Beats say by time which leases they account for; a clock that stepped back defeats that, safely.
                blame("S8", "a beat gave back a job that its worker had started", before.id, index)
            }
        case .insert, .claim, .prune, .operate, .other:
            blame("S3", "a running job was taken from its worker by no cause that is known", before.id, index)
        }
    }
}
