// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// Who has a unique key.
///
/// For a key with a time to live the row outlives the job.
struct SQLiteKey {
    var holder: JobID
    /// The one job that waits for the holder.
    var followUp: JobID?
    /// When a key with a time to live is free again.
    var expiresAt: Timestamp?
    /// What the holder was when its row was deleted.
    var lastState: JobState
}

extension SQLiteSession {
    /// Who has the key now; lets a follow-up have a key whose time is over.
    func currentKey(_ key: String, at now: Timestamp) throws -> SQLiteKey? {
        while let entry = try storedKey(key) {
            guard let end = entry.expiresAt, end <= now else { return entry }
            try free(key, entry, at: now)
        }
        return nil
    }

    func storedKey(_ key: String) throws -> SQLiteKey? {
        let find = try command(.keyByText)
        find.bind(1, key)
        return try find.first { row in
            guard let holder = row.halves(0) else { throw StoreError.unreadable("unique key") }
            return SQLiteKey(
                holder: JobID(high: holder.high, low: holder.low),
                followUp: row.halves(1).map { JobID(high: $0.high, low: $0.low) },
                expiresAt: row.optionalInt64(2).map(Timestamp.init(microseconds:)),
                lastState: JobState(rawValue: row.int(3)) ?? .succeeded
            )
        }
    }

    /// Gives a free key to a job.
    func giveKey(_ rule: UniqueRule, to id: JobID, storedAt: Timestamp, _ state: JobState) throws {
        let put = try command(.putKey)
        put.bind(1, rule.key)
        put.bind(2, high: id.high, low: id.low)
        put.bind(3, rule.scope.ttl.map { (storedAt + $0).microseconds })
        put.bind(4, state.rawValue)
        try put.run()
    }

    func setFollowUp(_ followUp: JobID?, of key: String) throws {
        let set = try command(.setKeyFollowUp)
        set.bind(1, key)
        if let followUp { set.bind(2, high: followUp.high, low: followUp.low) } else { set.bind(2, nil as Int64?) }
        try set.run()
    }

    /// Frees the key; its follow-up, if it has one, takes it and may run.
    private func free(_ key: String, _ entry: SQLiteKey, at now: Timestamp) throws {
        let delete = try command(.deleteKey)
        delete.bind(1, key)
        try delete.run()
        guard let followUp = entry.followUp, let row = try row(of: followUp),
            var next = try jobOrHold(row: row, at: now), let rule = next.record.unique
        else { return }
        try giveKey(rule, to: followUp, storedAt: next.record.createdAt, next.record.state)
        try change(&next, at: now) { $0.takeKey(at: now) }
    }

    /// After a change of a job: frees the key it no longer needs, or leaves the place of the follow-up.
    func updateKey(of record: JobRecord, was state: JobState, at now: Timestamp) throws {
        guard let key = record.unique?.key else { return }
        if state == .waiting && record.state != .waiting {
            if let entry = try storedKey(key), entry.followUp == record.id { return try setFollowUp(nil, of: key) }
        }
        guard record.state.isFinal || !record.holdsUniqueKey else { return }
        guard let entry = try storedKey(key), entry.holder == record.id else { return }
        if !record.holdsUniqueKey || entry.followUp != nil { try free(key, entry, at: now) }
    }

    /// After a job was deleted: frees its key unless that has a time to live and nobody waits.
    func forgetKey(of record: JobRecord, at now: Timestamp) throws {
        guard let key = record.unique?.key, let entry = try storedKey(key) else { return }
        if entry.followUp == record.id { try setFollowUp(nil, of: key) }
        guard entry.holder == record.id else { return }
        guard entry.expiresAt != nil, entry.followUp == nil else { return try free(key, entry, at: now) }
        let set = try command(.setKeyState)
        set.bind(1, key)
        set.bind(2, record.state.rawValue)
        try set.run()
    }

    /// Why a finished job cannot run again as `copy`: another job has its key.
    func keyRefusal(for record: JobRecord, as copy: JobRecord, at now: Timestamp) throws -> String? {
        guard record.state.isFinal, let rule = copy.unique, rule.scope.ttl == nil, copy.holdsUniqueKey,
            let holder = try keyHolder(rule.key, at: now), holder != copy.id
        else { return nil }
        return "its unique key is taken by job \(holder)"
    }

    /// Who has the key, or will have it as soon as somebody looks; changes nothing, so that a dry run can ask.
    private func keyHolder(_ key: String, at now: Timestamp) throws -> JobID? {
        guard let entry = try storedKey(key) else { return nil }
        guard let end = entry.expiresAt, end <= now else { return entry.holder }
        return entry.followUp
    }

    /// Lets go of the keys whose time is over.
    /// - Returns: How many.
    func freeExpiredKeys(at now: Timestamp, limit: Int) throws -> Int {
        let find = try command(.expiredKeys)
        find.bind(1, now.microseconds)
        find.bind(2, limit)
        let keys = try find.all { $0.text(0) }
        for key in keys {
            if let entry = try storedKey(key) { try free(key, entry, at: now) }
        }
        return keys.count
    }
}
