// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

extension HistoryChecker {
    /// Compares the numbers of a row with what its cause asks for (S7, S19).
    mutating func checkCounters(
        _ before: JobRecord,
        _ after: JobRecord,
        _ cause: Cause,
        _ event: HistoryEvent,
        _ index: Int
    ) {
        let id = after.id
        var expected = Numbers(before)
        let leaves = before.state == .running && after.state != .running
        switch cause {
        case .settle(let outcome) where leaves: expected.count(outcome)
        case .rescue where leaves:
            expected.crashes += 1
        case .unlisted where leaves, .retire where leaves:
            expected.releases += 1
            expected.attempt -= 1
        case .operate where before.state.isFinal && !after.state.isFinal: expected = Numbers()
        default:
            if before.state != .running, after.state == .running { expected.attempt += 1 }
        }
        let found = Numbers(after)
        if found != expected {
            let isCrash = if case .rescue = cause { true } else { false }
            blame(isCrash ? "S19" : "S7", "the row counts \(found), its history \(expected)", id, index)
        }
        guard after.retry.maxAttempts > 0, !after.retry.followsCode else { return }
        if after.failures > after.retry.maxAttempts {
            blame("S7", "\(after.failures) failures of \(after.retry.maxAttempts) allowed", id, index)
        }
        if leaves, after.reason == .exhausted, after.failures < after.retry.maxAttempts {
            let allowed = after.retry.maxAttempts
            blame("S7", "failed as exhausted after \(after.failures) of \(allowed) failures", id, index)
        }
        if after.crashes > after.crashesAllowed + 1 {
            blame("S19", "\(after.crashes) workers died of it, \(after.crashesAllowed) are allowed", id, index)
        }
        if leaves, after.crashes == after.crashesAllowed + 1, found.crashes > before.crashes, !after.state.isFinal {
            blame("S19", "a job that killed \(after.crashes) workers goes on", id, index)
        }
        guard case .settle(.retry(let wait, _, _)) = cause, leaves, !after.state.isFinal else { return }
        if after.failures >= after.retry.maxAttempts { blame("S7", "a job out of attempts goes on", id, index) }
        if after.runAt < event.at + wait {
            blame("S6", "a failed job is due before its wait is over", id, index)
        }
    }

    /// A cancel stands (S12).
    mutating func checkCancel(
        _ before: JobRecord,
        _ after: JobRecord,
        _ cause: Cause,
        _ id: JobID,
        _ index: Int
    ) {
        guard before.state == .running, before.cancelRequest != nil, after.state != .running else { return }
        guard after.state != .cancelled, after.state != .failed else { return }
        blame("S12", "a job that was to be cancelled became \(after.state.word)", id, index)
    }

    /// A job takes its key: no other has it (S9).
    mutating func takeKey(_ newcomer: JobRecord, _ index: Int) {
        guard let key = jobs[newcomer.id]?.new?.unique?.key else { return }
        jobs[newcomer.id]?.hasKey = true
        for other in keys[key] ?? [] where other != newcomer.id {
            guard let track = jobs[other], track.hasKey, let record = track.record else { continue }
            guard let rule = track.new?.unique, holds(record, rule) else { continue }
            blame("S9", "the key '\(key)' is held by \(other), which is \(record.state.word)", newcomer.id, index)
        }
    }

    /// A follow-up gets the key of the job that it waited for, even one that is kept for a time.
    mutating func passKey(to follower: JobRecord) {
        guard let key = jobs[follower.id]?.new?.unique?.key else { return }
        for other in keys[key] ?? [] where other != follower.id && jobs[other]?.record?.state.isFinal == true {
            jobs[other]?.hasKey = false
        }
    }

    func holds(_ record: JobRecord, _ rule: UniqueRule) -> Bool {
        switch rule.scope {
        case .untilStart: record.state.isPending && record.startedAt == nil
        case .untilDone: !record.state.isFinal
        case .forTTL(let time): record.createdAt + time > latest
        }
    }

    // MARK: Progress

    /// Notes when nobody could have claimed, before and after each change.
    mutating func noteBusy(at uptime: Duration) {
        guard calmAt != nil else { return }
        let isFree = workers.values.contains { $0.isLiving && $0.holds.count < $0.slots }
        if !isFree || !pauses.isEmpty || isEnding { busyAt = uptime }
    }

    /// A ready job does not wait for an idle worker longer than a poll (L1, L4).
    mutating func checkWait(of id: JobID, at uptime: Duration, _ index: Int) {
        guard let calmAt, !isEnding, let ready = jobs[id]?.readySince else { return }
        let wait = uptime - max(ready, calmAt, busyAt)
        if wait > poll { blame("L4", "a ready job waited \(wait) for an idle worker", id, index) }
    }

    /// The jobs of a dead worker are ready again soon (L2), once a worker lives long enough to look for them: one
    /// whose process dies of other jobs again and again cannot.
    mutating func checkRescueTime(of record: JobRecord, by worker: WorkerID, at uptime: Duration, _ index: Int) {
        guard let calmAt, let diedAt = workers[worker]?.crashedAt else { return }
        guard let eldest = workers.values.lazy.filter(\.isLiving).compactMap(\.since).min() else { return }
        let wait = uptime - max(diedAt, calmAt)
        if wait > Self.rescueBound, uptime - eldest > Self.firstRoundBound {
            blame("L2", "a job stayed with a dead worker for \(wait)", record.id, index)
        }
    }
}

/// What a row counts.
private struct Numbers: Equatable, CustomStringConvertible {
    var attempt = 0
    var failures = 0
    var crashes = 0
    var releases = 0
    var snoozes = 0

    init() {}

    init(_ record: JobRecord) {
        attempt = record.attempt
        failures = record.failures
        crashes = record.crashes
        releases = record.releases
        snoozes = record.snoozes
    }

    mutating func count(_ outcome: Outcome) {
        switch outcome {
        case .retry, .failed: failures += 1
        case .snoozed:
            snoozes += 1
            attempt -= 1
        case .released:
            releases += 1
            attempt -= 1
        case .undecodable: attempt -= 1
        case .succeeded, .cancelled, .abandoned: break
        }
    }

    var description: String {
        "attempt \(attempt), failures \(failures), crashes \(crashes), releases \(releases), snoozes \(snoozes)"
    }
}
