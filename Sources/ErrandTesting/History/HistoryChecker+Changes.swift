// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

extension HistoryChecker {
    /// Why a row changed, as the call that did it tells.
    enum Cause {
        case insert
        case claim
        case settle(Outcome)
        case unlisted(Beat)
        case retire
        case rescue(silence: Duration)
        case prune(RetentionPolicy)
        case operate(Operation.Action)
        case other
    }

    func cause(of job: JobID, under epoch: Int64?, in request: StoreRequest?) -> Cause {
        switch request {
        case .insert, .schedules: .insert
        case .claim: .claim
        case .settle(let all):
            // One write may bring the end of a lease that was lost and that of the one that holds.
            (all.first { $0.lease.job == job && $0.lease.epoch == epoch } ?? all.first { $0.lease.job == job })
                .map { .settle($0.outcome) } ?? .other
        case .beat(let beat): .unlisted(beat)
        case .retire: .retire
        case .maintain(.rescue(let silence, _)): .rescue(silence: silence)
        case .maintain(.prune(let policy)): .prune(policy)
        case .operate(let operation): .operate(operation.action)
        case .register, .note, .controls, .maintain, .read, nil: .other
        }
    }

    /// One change of one row.
    mutating func see(_ change: Change, of request: StoreRequest?, _ event: HistoryEvent) {
        guard let id = change.after?.id ?? change.before?.id else { return }
        let cause = cause(of: id, under: change.before?.epoch, in: request)
        noteBusy(at: event.uptime)
        switch (change.before, change.after) {
        case (nil, let after?): added(after, event, change.event)
        case (let before?, nil): removed(before, cause, event, change.event)
        case (let before?, let after?): changed(before, after, cause, event, change.event)
        case (nil, nil): break
        }
        noteBusy(at: event.uptime)
    }

    private mutating func added(_ after: JobRecord, _ event: HistoryEvent, _ index: Int) {
        tally[.enqueued, default: 0] += 1
        guard let track = jobs[after.id], let new = track.new else {
            return blame("S2", "a row is there that nobody inserted", after.id, index)
        }
        if track.record != nil { blame("S3", "a row was added that was there", after.id, index) }
        if ![.waiting, .scheduled, .ready].contains(after.state) {
            blame("S3", "a new row is \(after.state.word)", after.id, index)
        }
        if after.runAt < new.start.instant(from: event.at) {
            blame("S6", "the job was stored as due earlier than asked", after.id, index)
        }
        if after.payload.digest != new.payload.digest {
            blame("S21", "the job was stored with another payload", after.id, index)
        }
        if let key = new.unique?.key { keys[key, default: []].insert(after.id) }
        jobs[after.id]?.hasKey = false
        if after.state != .waiting { takeKey(after, index) }
        update(after, event.uptime, isNew: true)
    }

    private mutating func removed(_ before: JobRecord, _ cause: Cause, _ event: HistoryEvent, _ index: Int) {
        jobs[before.id]?.record = nil
        jobs[before.id]?.wasRemoved = true
        // A repeated insert may bring it back, with epochs from the start.
        jobs[before.id]?.topEpoch = 0
        let granted = jobs[before.id]?.granted ?? []
        jobs[before.id]?.formerlyGranted.formUnion(granted)
        jobs[before.id]?.granted = []
        jobs[before.id]?.started = []
        jobs[before.id]?.cancelledRun = nil
        switch cause {
        case .operate(.delete) where before.state != .running: break
        case .prune(let policy):
            guard before.state.isFinal, let end = before.finishedAt, let age = policy.ages[before.state],
                end + age <= event.at
            else { return blame("S23", "prune deleted a job that is \(before.state.word)", before.id, index) }
        default: blame("S1", "a row vanished that is \(before.state.word)", before.id, index)
        }
    }

    private mutating func changed(
        _ before: JobRecord,
        _ after: JobRecord,
        _ cause: Cause,
        _ event: HistoryEvent,
        _ index: Int
    ) {
        let id = after.id
        if let known = jobs[id]?.record, known.state != before.state || known.epoch != before.epoch {
            blame("S3", "a row changed without a change", id, index)
        }
        if before.state != after.state, !before.state.canMove(to: after.state) {
            blame("S3", "a move from \(before.state.word) to \(after.state.word) is not legal", id, index)
        }
        checkRun(before, after, cause, id, index)
        checkCancel(before, after, cause, id, index)
        checkCounters(before, after, cause, event, index)
        if after.epoch < before.epoch { blame("S4", "the epoch went back", id, index) }
        if before.state != .running, after.state == .running { claimed(before, after, event, index) }
        if before.state == .running, after.state != .running { left(before, after, cause, event, index) }
        if before.state == .waiting, after.state == .ready || after.state == .scheduled {
            passKey(to: after)
            takeKey(after, index)
        }
        // Run again, a job asks for its key like a new one; a key for a time or until the start it had once.
        if before.state.isFinal, !after.state.isFinal, let rule = jobs[id]?.new?.unique, rule.scope.ttl == nil,
            holds(after, rule)
        {
            takeKey(after, index)
        }
        if after.state.isFinal, !before.state.isFinal, let metric = SeriesMetric.ended(as: after.state) {
            tally[metric, default: 0] += 1
            jobs[id]?.ends.insert(after.state)
        }
        let becameReady = !before.isClaimable && after.isClaimable
        update(after, event.uptime, isNew: becameReady)
    }

    private mutating func update(_ record: JobRecord, _ uptime: Duration, isNew: Bool) {
        jobs[record.id]?.record = record
        if isNew { jobs[record.id]?.readySince = uptime }
    }

    private mutating func checkRun(
        _ before: JobRecord,
        _ after: JobRecord,
        _ cause: Cause,
        _ id: JobID,
        _ index: Int
    ) {
        var isRetry = false
        if case .operate(.retry) = cause { isRetry = true }
        if case .operate(.editAndRetry) = cause { isRetry = true }
        if before.state.isFinal, !after.state.isFinal, !isRetry {
            blame("S3", "a job that ended goes on although no operator asked for it", id, index)
        }
        let expected = before.state.isFinal && !after.state.isFinal ? before.run + 1 : before.run
        if after.run != expected { blame("S3", "the run is \(after.run), not \(expected)", id, index) }
    }
}

extension JobRecord {
    /// Whether a worker could take it now.
    var isClaimable: Bool { state == .ready && hold == nil }
}
