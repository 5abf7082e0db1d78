// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension RedisTable {
    /// Who has the key now; lets a follow-up have a key whose time is over.
    mutating func currentKey(_ key: String) throws(Missing) -> RedisKeyEntry? {
        while let entry = try entry(key), let end = entry.expiresAt, end <= now { try free(key) }
        return try entry(key)
    }

    /// Who will have the key once a running job has become `ended`; changes nothing.
    func holder(of key: String, after ended: JobRecord) throws(Missing) -> JobID? {
        guard let entry = try entry(key) else { return nil }
        let isFreed =
            entry.holder == ended.id && (!ended.holdsUniqueKey || ended.state.isFinal && entry.followUp != nil)
        let isOver = entry.expiresAt.map { $0 <= now } ?? false
        guard isFreed || isOver else { return entry.holder }
        guard let id = entry.followUp, let next = try row(id) else { return nil }
        return RedisKeyEntry(next.record).expiresAt.map { $0 <= now } ?? false ? nil : id
    }

    /// Gives the key of the job to it.
    mutating func giveKey(to record: JobRecord) {
        guard let rule = record.unique else { return }
        keys[rule.key] = RedisKeyEntry(record)
    }

    /// Frees the key; its follow-up, if it has one, takes it and may run.
    mutating func free(_ key: String) throws(Missing) {
        guard let entry = try entry(key) else { return }
        // Looked at before anything changes.
        let next = try entry.followUp.map { id throws(Missing) in try row(id) } ?? nil
        keys[key] = .some(nil)
        guard let next else { return }
        giveKey(to: next.record)
        let now = now
        try change(next.record.id) { $0.takeKey(at: now) }
    }

    /// After a change of the row: frees the key it no longer needs, or leaves the place of the follow-up.
    mutating func updateKey(of id: JobID) throws(Missing) {
        guard let record = try row(id)?.record, let key = record.unique?.key, var entry = try entry(key) else { return }
        if entry.followUp == id {
            guard record.state != .waiting else { return }
            entry.followUp = nil
            keys[key] = entry
        } else if entry.holder == id {
            let isWaitedFor = record.state.isFinal && entry.followUp != nil
            if isWaitedFor || !record.holdsUniqueKey { try free(key) }
        }
    }

    /// After the row was deleted: frees its key unless that has a TTL and nobody waits.
    mutating func forgetKey(of record: JobRecord) throws(Missing) {
        guard let key = record.unique?.key, var entry = try entry(key) else { return }
        if entry.followUp == record.id {
            entry.followUp = nil
            keys[key] = entry
        }
        guard entry.holder == record.id else { return }
        if entry.expiresAt != nil, entry.followUp == nil {
            entry.lastState = record.state
            keys[key] = entry
        } else {
            try free(key)
        }
    }

    /// Why a finished job cannot run again as `copy`: another job has its key.
    mutating func keyRefusal(for record: JobRecord, as copy: JobRecord) throws(Missing) -> String? {
        guard record.state.isFinal, let rule = copy.unique, rule.scope.ttl == nil, copy.holdsUniqueKey else {
            return nil
        }
        guard let entry = try currentKey(rule.key), entry.holder != copy.id else { return nil }
        return "its unique key is taken by job \(entry.holder)"
    }
}
