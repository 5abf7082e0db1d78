// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension JobRecord {
    /// What an enqueue with a taken key does to the job that holds the key, decided once for all engines.
    public enum Collision: Sendable, Hashable {
        /// Answer with the job that is there; it may have become more urgent.
        case existing
        /// The job that is there took fields of the new one.
        case replaced
        /// Store the new job as the follow-up of the running one, or give an existing follow-up its fields.
        case followUp
        /// Refuse.
        case refused
    }

    /// Decides what happens when `newcomer` wants this job's unique key, and changes this job accordingly.
    ///
    /// While a follow-up waits (`hasFollowUp`), a newer `runAgainAfter` goes to the follow-up even when the holder
    /// is pending again after a failure: otherwise the follow-up would run last with an older payload.
    public mutating func collide(
        with newcomer: NewJob,
        at now: Timestamp,
        hasFollowUp: Bool = false
    ) -> Collision {
        guard let rule = newcomer.unique else { return .refused }
        switch rule.conflict {
        case .throwError:
            return .refused
        case .returnExisting:
            adoptUrgency(of: newcomer, at: now)
            return .existing
        case .replacePending(let fields):
            guard state.isPending else { return .existing }
            adopt(fields, of: newcomer, at: now)
            return .replaced
        case .runAgainAfter:
            if state == .running || hasFollowUp { return .followUp }
            guard state.isPending else { return .existing }
            adopt([.payload, .labels], of: newcomer, at: now)
            return .replaced
        }
    }

    /// Takes `fields` of the newer job; of those not named, priority and run time still become the more urgent.
    public mutating func adopt(_ fields: ReplaceableFields, of newcomer: NewJob, at now: Timestamp) {
        guard state.isPending else { return }
        if fields.contains(.payload) { payload = newcomer.payload }
        if fields.contains(.labels) {
            tags = newcomer.tags
            headers = newcomer.headers
        }
        if fields.contains(.priority) { priority = newcomer.priority }
        if fields.contains(.runAt), state == .scheduled || state == .ready {
            runAt = newcomer.start.instant(from: now)
            state = runAt > now ? .scheduled : .ready
        }
        adoptUrgency(of: newcomer, at: now, keeping: fields)
        rank = priority.rank(readyAt: runAt)
        revision += 1
    }

    private mutating func adoptUrgency(
        of newcomer: NewJob,
        at now: Timestamp,
        keeping fields: ReplaceableFields = []
    ) {
        guard state.isPending else { return }
        if !fields.contains(.priority) { priority = max(priority, newcomer.priority) }
        let wanted = newcomer.start.instant(from: now)
        if !fields.contains(.runAt), state == .scheduled, wanted < runAt {
            runAt = wanted
            if runAt <= now { state = .ready }
        }
        rank = priority.rank(readyAt: runAt)
    }

    /// Whether this job still needs its unique key, so that a store knows when to free it.
    public var holdsUniqueKey: Bool {
        switch unique?.scope {
        case .untilStart: state.isPending && startedAt == nil
        case .untilDone: !state.isFinal
        case .forTTL: true
        case nil: false
        }
    }

    /// A follow-up starts to wait for the job that holds its key.
    public mutating func waitForKey() {
        state = .waiting
    }

    /// The key is free: a follow-up may run.
    public mutating func takeKey(at now: Timestamp) {
        guard state == .waiting else { return }
        runAt = max(runAt, now)
        rank = priority.rank(readyAt: runAt)
        state = runAt > now ? .scheduled : .ready
    }
}
