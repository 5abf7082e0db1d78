// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

extension HistoryChecker {
    /// Compares what a call answered with what it did.
    mutating func compare(_ request: StoreRequest, _ reply: StoreReply, _ event: HistoryEvent, _ index: Int) {
        switch (request, reply) {
        case (.insert(let new, _), .insert(let answers)):
            for (job, answer) in zip(new, answers) { inserted(job, answer, index) }
        case (.register(let worker), .maintain):
            noteBusy(at: event.uptime)
            guard var colleague = workers[worker.id] else { return }
            colleague.lastSeen = event.at
            colleague.since = colleague.since ?? event.uptime
            workers[worker.id] = colleague
        case (.retire(let worker), _): workers[worker]?.isGone = true
        case (.claim(let request), .claim(let answer)):
            for job in answer.jobs { granted(job, names: request.names, index) }
        case (.beat(let beat), .beat(let answer)): heard(beat, answer, event, index)
        case (.settle(let settlements), .settle(let answers)):
            for (settlement, answer) in zip(settlements, answers) { settled(settlement, answer, index) }
        case (.note(let notes), .note(let answers)):
            for (note, held) in zip(notes, answers) where held != isCurrent(note.lease) {
                blame(
                    "S5",
                    "a note under epoch \(note.lease.epoch) was \(held ? "taken" : "refused")",
                    note.lease.job,
                    index
                )
            }
        case (.operate(let operation), .operate(let report)): operated(operation, report, index)
        case (.controls(let changes), _): for change in changes { control(change, event) }
        case (.maintain(.rescue), .maintain(let report)):
            for worker in report.deadWorkers { workers[worker]?.isGone = true }
            // Beats from before a step back of the clock count from now on.
            for (id, worker) in workers where worker.lastSeen > event.at { workers[id]?.lastSeen = event.at }
        default: break
        }
    }

    /// Whether this lease is the one that holds the job now.
    func isCurrent(_ lease: Lease) -> Bool { jobs[lease.job]?.record?.isHeld(by: lease) == true }

    private mutating func inserted(_ job: NewJob, _ answer: InsertAnswer, _ index: Int) {
        switch answer {
        case .stored(let id):
            guard let track = jobs[id], track.record != nil else {
                return blame("S1", "an insert was answered 'stored' and there is no row", id, index)
            }
        case .claimed(let claimed): granted(claimed, names: nil, index)
        case .duplicate(let holder, _), .replaced(let holder):
            guard let key = job.unique?.key, let track = jobs[holder], track.new?.unique?.key == key,
                track.record != nil || track.wasRemoved
            else { return blame("S9", "a duplicate is answered with a job that never had the key", job.id, index) }
            if case .replaced = answer { jobs[holder]?.payloads.insert(job.payload.digest) }
            guard let record = track.record, let rule = track.new?.unique else { return }
            if case .replaced = answer, record.state == .running, !changes.contains(where: { $0.after?.id == holder }) {
                blame("S9", "a running job is said to have taken fields of a newer one", job.id, index)
            }
            if record.state.isFinal, rule.scope.ttl == nil {
                blame("S9", "a duplicate is answered with a job that is \(record.state.word)", job.id, index)
            }
        case .refused:
            if changes.contains(where: { $0.before == nil && $0.after?.id == job.id }) {
                blame("S2", "an insert was refused and there is a row", job.id, index)
            }
        }
    }

    private mutating func granted(_ claimed: ClaimedJob, names: [JobName: Int]?, _ index: Int) {
        let id = claimed.lease.job
        guard isCurrent(claimed.lease) else {
            return blame("S4", "a claim gave out epoch \(claimed.lease.epoch), which does not hold the job", id, index)
        }
        if jobs[id]?.granted.insert(claimed.lease.epoch).inserted == false {
            blame("S4", "epoch \(claimed.lease.epoch) was given out twice", id, index)
        }
        guard let names else { return }
        if claimed.record.payload.version > names[claimed.record.name] ?? 0 {
            blame("S6", "a worker got a job of a name that it does not know", id, index)
        }
    }

    private mutating func heard(_ beat: Beat, _ answer: BeatAnswer, _ event: HistoryEvent, _ index: Int) {
        guard answer.isKnown else {
            workers[beat.worker]?.isGone = true
            return
        }
        workers[beat.worker]?.lastSeen = event.at
        let lost = Set(answer.lost)
        for lease in beat.held {
            let holds = isCurrent(lease)
            if holds == lost.contains(lease) {
                let words = holds ? "called the lease that holds lost" : "did not say that a lease is lost"
                blame("S5", "a beat \(words): epoch \(lease.epoch)", lease.job, index)
            }
            guard holds, let record = jobs[lease.job]?.record else { continue }
            if record.cancelRequest != nil, answer.cancels[lease.job] == nil {
                blame("S12", "a beat did not say that the job is to be cancelled", lease.job, index)
            }
        }
        guard let calmAt, event.uptime > calmAt, !isEnding else { return }
        let listed = Set(beat.held.map(\.job))
        for id in workers[beat.worker]?.holds ?? [] {
            guard !listed.contains(id) else {
                jobs[id]?.misses = 0
                continue
            }
            jobs[id]?.misses += 1
            guard jobs[id]?.misses == 3 else { continue }
            blame("L3", "a worker holds a job that its last three beats do not list", id, index)
        }
    }

    private mutating func settled(_ settlement: Settlement, _ answer: SettleAnswer, _ index: Int) {
        let (lease, id) = (settlement.lease, settlement.lease.job)
        let end = changes.first { $0.before?.id == id && $0.before?.state == .running && $0.after != nil }
        switch answer {
        case .applied(let state):
            guard let end, let before = end.before else {
                return blame("S22", "a settlement was acknowledged and nothing was written", id, index)
            }
            if !before.isHeld(by: lease) {
                let holder = "epoch \(before.epoch)"
                blame("S5", "a settlement under epoch \(lease.epoch) ended the attempt of \(holder)", id, index)
            }
            if end.after?.state != state {
                blame("S22", "a settlement was answered \(state.word), the row says otherwise", id, index)
            }
        case .leaseLost:
            if end == nil, isCurrent(lease) {
                blame("S5", "a settlement under the epoch that holds the job was refused", id, index)
            }
        case .refused: break
        }
    }

    private mutating func operated(_ operation: Operation, _ report: OperationReport, _ index: Int) {
        guard !operation.isDryRun else { return }
        // A repeat gets the first answer and changes nothing.
        if let key = operation.idempotencyKey, !operations.insert(key).inserted {
            for change in changes { blame("S22", "a repeated operation changed a job", change.after?.id, index) }
            return
        }
        for id in report.changed {
            let change = changes.first { ($0.before ?? $0.after)?.id == id }
            let isCancel = operation.action == .cancel
            guard let change else {
                blame(isCancel ? "S12" : "S22", "an operation was acknowledged and nothing changed", id, index)
                continue
            }
            guard isCancel, let after = change.after else { continue }
            if after.state != .cancelled, after.cancelRequest == nil {
                blame("S12", "a cancel was acknowledged and the job is \(after.state.word)", id, index)
            }
            if after.state.isFinal { jobs[id]?.cancelledRun = after.run }
        }
    }

    private mutating func control(_ change: ControlChange, _ event: HistoryEvent) {
        switch change {
        case .pause(let scope, let actor, let reason, let lasting):
            let until = lasting.map { event.at + $0 }
            pauses[scope] = Pause(scope: scope, actor: actor, reason: reason, since: event.at, until: until)
        case .resume(let scope, _, _): pauses[scope] = nil
        }
        noteBusy(at: event.uptime)
    }
}
