// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// The rules of a store in the plainest form: an array of records, no index, everything by looking at all of it.
///
/// Random walks compare an engine with it after every step. It uses the core's decisions about one record and
/// writes the rules between records, such as order, keys and follow-ups, a second time.
struct PlainStore {
    struct Key {
        var holder: JobID
        var lastState: JobState
        var followUp: JobID?
        var expiresAt: Timestamp?
    }

    /// In the order of insertion.
    private(set) var jobs: [JobRecord] = []
    private(set) var keys: [String: Key] = [:]
    /// When each worker was last seen.
    private(set) var workers: [WorkerID: Timestamp] = [:]
    var isPaused = false
    var now = Timestamp.epoch

    func job(_ id: JobID) -> JobRecord? { jobs.first { $0.id == id } }

    private mutating func change<Answer>(_ id: JobID, _ body: (inout JobRecord) -> Answer) -> Answer? {
        guard let index = jobs.firstIndex(where: { $0.id == id }) else { return nil }
        defer { tidyKeys() }
        return body(&jobs[index])
    }

    // MARK: Insert

    mutating func insert(_ new: NewJob) -> InsertAnswer {
        if job(new.id) != nil { return .stored(new.id) }
        guard let rule = new.unique else {
            jobs.append(JobRecord(new, at: now))
            return .stored(new.id)
        }
        while let over = keys[rule.key]?.expiresAt, over <= now { free(rule.key) }
        guard let key = keys[rule.key] else {
            let record = JobRecord(new, at: now)
            jobs.append(record)
            give(rule.key, to: record)
            return .stored(new.id)
        }
        let taken = StoreError(.conflict, "")
        guard let holder = job(key.holder) else {
            return rule.conflict == .throwError ? .refused(taken) : .duplicate(of: key.holder, key.lastState)
        }
        if holder.isOverdue(at: now) {
            _ = change(holder.id) { [now] in $0.expire(at: now) }
            return insert(new)
        }
        let collision = change(key.holder) { [now] in
            $0.collide(with: new, at: now, hasFollowUp: key.followUp != nil)
        }
        switch collision {
        case .existing: return .duplicate(of: key.holder, job(key.holder)?.state ?? key.lastState)
        case .replaced: return .replaced(key.holder)
        case .refused, nil: return .refused(taken)
        case .followUp: break
        }
        if let followUp = key.followUp {
            _ = change(followUp) { [now] in $0.adopt([.payload, .labels], of: new, at: now) }
            return .replaced(followUp)
        }
        var record = JobRecord(new, at: now)
        record.waitForKey()
        jobs.append(record)
        keys[rule.key]?.followUp = new.id
        return .stored(new.id)
    }

    private mutating func give(_ key: String, to record: JobRecord) {
        var expiresAt: Timestamp?
        if case .forTTL(let ttl) = record.unique?.scope { expiresAt = record.createdAt + ttl }
        keys[key] = Key(holder: record.id, lastState: record.state, followUp: nil, expiresAt: expiresAt)
    }

    private mutating func free(_ key: String) {
        guard let old = keys.removeValue(forKey: key), let next = old.followUp else { return }
        guard let index = jobs.firstIndex(where: { $0.id == next }) else { return }
        jobs[index].takeKey(at: now)
        give(key, to: jobs[index])
    }

    /// Frees the keys that their holders no longer need.
    private mutating func tidyKeys() {
        for (name, key) in keys {
            if let next = key.followUp, job(next)?.state != .waiting { keys[name]?.followUp = nil }
            let isWaitedFor = keys[name]?.followUp != nil
            if let holder = job(key.holder) {
                keys[name]?.lastState = holder.state
                if !holder.holdsUniqueKey || (holder.state.isFinal && isWaitedFor) { free(name) }
            } else if key.expiresAt == nil || isWaitedFor {
                free(name)
            }
        }
    }

    // MARK: Work

    mutating func register(_ worker: WorkerID) { workers[worker] = now }

    mutating func claim(_ worker: WorkerID, _ limit: Int, names: [JobName: Int]) -> [ClaimedJob] {
        for index in jobs.indices { jobs[index].promote(at: now) }
        guard !isPaused else { return [] }
        let ready = jobs.enumerated()
            .filter { $0.element.state == .ready && $0.element.hold == nil }
            .filter { entry in names[entry.element.name].map { entry.element.payload.version <= $0 } ?? false }
            .sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }
        return ready.prefix(limit)
            .compactMap { entry in
                change(entry.element.id) { [now] in
                    let lease = $0.claim(by: worker, at: now)
                    return ClaimedJob(lease: lease, record: $0)
                }
            }
    }

    mutating func settle(_ lease: Lease, _ outcome: Outcome) -> SettleAnswer {
        guard job(lease.job)?.isHeld(by: lease) == true else { return .leaseLost }
        let state = change(lease.job) { [now] in
            _ = $0.settle(outcome, at: now)
            return $0.state
        }
        return state.map { .applied($0) } ?? .leaseLost
    }

    mutating func beat(_ worker: WorkerID, held: [Lease]) -> Int {
        guard workers[worker] != nil else { return 0 }
        workers[worker] = now
        let listed = Set(held.map(\.job))
        let orphans = jobs.filter { $0.state == .running && $0.worker == worker && !listed.contains($0.id) }
        for orphan in orphans { _ = change(orphan.id) { [now] in $0.releaseUnlisted(at: now) } }
        return orphans.count
    }

    mutating func rescue(silence: Duration) -> [JobID: JobState] {
        let dead = workers.filter { now - $0.value > silence }.keys
        var rescued: [JobID: JobState] = [:]
        for record in jobs where record.state == .running && record.worker.map(dead.contains) == true {
            rescued[record.id] = change(record.id) { [now] in
                _ = $0.rescue(at: now)
                return $0.state
            }
        }
        for worker in dead { workers[worker] = nil }
        return rescued
    }

    // MARK: Operate and maintain

    mutating func operate(_ operation: Operation, on id: JobID) -> JobRecord.Change {
        guard let record = job(id) else { return .refused("") }
        var copy = record
        let change: JobRecord.Change
        switch operation.action {
        case .cancel: change = copy.cancel(by: operation.actor, reason: operation.reason, at: now)
        case .retry: change = copy.retry(after: .zero, at: now)
        case .edit(let edit): change = copy.edit(edit, at: now)
        case .hold(let lasting):
            let until = lasting.map { now + $0 }
            change = copy.hold(Hold(actor: operation.actor, reason: operation.reason, since: now, until: until))
        case .release: change = copy.release()
        case .delete:
            guard record.deletion == .changed else { return record.deletion }
            jobs.removeAll { $0.id == id }
            tidyKeys()
            return .changed
        case .editAndRetry: return .refused("the walk does not do this")
        }
        guard change == .changed else { return change }
        if record.state.isFinal, let rule = copy.unique, copy.holdsUniqueKey, keys[rule.key]?.holder != id {
            if case .forTTL = rule.scope {
            } else {
                while let over = keys[rule.key]?.expiresAt, over <= now { free(rule.key) }
                if keys[rule.key] != nil { return .refused("") }
                give(rule.key, to: copy)
            }
        }
        _ = self.change(id) { $0 = copy }
        return .changed
    }

    mutating func expire() {
        for record in jobs {
            _ = change(record.id) { [now] in
                if let until = $0.hold?.until, until <= now { _ = $0.release() }
                if $0.state.isPending, $0.hold == nil, $0.isLate(at: now) { $0.expire(at: now) }
            }
        }
    }

    mutating func sweep() {
        for name in keys.keys {
            while let over = keys[name]?.expiresAt, over <= now { free(name) }
        }
    }

    mutating func prune(after age: Duration) {
        let old = jobs.filter { $0.state.isFinal && ($0.finishedAt ?? now) + age <= now }
        for record in old {
            jobs.removeAll { $0.id == record.id }
            tidyKeys()
        }
    }
}
