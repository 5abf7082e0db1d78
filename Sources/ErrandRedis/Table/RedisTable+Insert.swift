// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension RedisTable {
    /// Stores one job, unless its id or its unique key is there already.
    mutating func insert(_ job: NewJob) throws(Missing) -> InsertAnswer {
        if let problem = job.storeProblem { return .refused(StoreError(.invalid, problem)) }
        // It is here, or it is in another store by now and this is a late repeat.
        if try row(job.id) != nil || departed.contains(job.id) { return .stored(job.id) }
        if let rule = job.unique, let entry = try currentKey(rule.key) { return try collide(job, rule, with: entry) }
        let record = JobRecord(job, at: now)
        add(record)
        giveKey(to: record)
        return .stored(job.id)
    }

    private mutating func collide(
        _ job: NewJob,
        _ rule: UniqueRule,
        with entry: RedisKeyEntry
    ) throws(Missing) -> InsertAnswer {
        guard let holder = try row(entry.holder)?.record else {
            if rule.conflict == .throwError { return .refused(Self.taken(by: entry.holder, rule)) }
            return .duplicate(of: entry.holder, entry.lastState)
        }
        let now = now
        if holder.isOverdue(at: now) {
            // It will not run: joined to it, the newcomer would not either.
            try change(entry.holder) { $0.expire(at: now) }
            return try insert(job)
        }
        let collision = try change(entry.holder) {
            $0.collide(with: job, at: now, hasFollowUp: entry.followUp != nil)
        }
        switch collision {
        case .refused, nil:
            return .refused(Self.taken(by: entry.holder, rule))
        case .existing:
            return .duplicate(of: entry.holder, try row(entry.holder)?.record.state ?? entry.lastState)
        case .replaced:
            return .replaced(entry.holder)
        case .followUp:
            if let followUp = entry.followUp {
                try change(followUp) { $0.adopt([.payload, .labels], of: job, at: now) }
                return .replaced(followUp)
            }
            var record = JobRecord(job, at: now)
            record.waitForKey()
            add(record)
            var waited = entry
            waited.followUp = job.id
            keys[rule.key] = waited
            return .stored(job.id)
        }
    }

    static func taken(by holder: JobID, _ rule: UniqueRule) -> StoreError {
        StoreError(.conflict, "the unique key '\(rule.key)' is taken by job \(holder); wait for it or change the key")
    }
}

extension NewJob {
    /// Why the job cannot be stored. The client that made it has the limit of its payload; a store takes what it let pass.
    var storeProblem: String? {
        if let problem = problem(payloadLimit: 256 << 20) { return problem }
        if payload.version > UInt32.max { return "the version of '\(name)' is larger than can be stored" }
        return nil
    }
}
