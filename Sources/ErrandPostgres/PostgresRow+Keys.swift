// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// Who has a unique key.
///
/// For a key with a time to live the row outlives the job.
struct PostgresKey {
    var holder: JobID
    /// The one job that waits for the holder.
    var followUp: JobID?
    /// When a key with a time to live is free again.
    var expiresAt: Timestamp?
    /// What the holder was when its row was deleted.
    var lastState: JobState
}

extension PostgresSession {
    /// Who has the key now; lets a follow-up have a key whose time is over.
    func currentKey(_ key: String) throws -> PostgresKey? {
        while let entry = try storedKey(key) {
            guard let end = entry.expiresAt, end <= now else { return entry }
            try free(key, entry)
        }
        return nil
    }

    /// The row of a key, locked unless only looked at.
    private func storedKey(_ key: String, locking: Bool = true) throws -> PostgresKey? {
        let result = try query(locking ? .keyByText : .holderOfKey, [.text(key)])
        guard result.count == 1 else { return nil }
        guard let holder = result.id(0, 0) else { throw StoreError.unreadable("unique key") }
        return PostgresKey(
            holder: holder,
            followUp: result.isNull(0, 1) ? nil : result.id(0, 1),
            expiresAt: result.optionalInstant(0, 2),
            lastState: JobState(rawValue: result.int(0, 3)) ?? .succeeded
        )
    }

    /// Gives a free key to a job.
    func giveKey(_ rule: UniqueRule, to id: JobID, storedAt: Timestamp, _ state: JobState) throws {
        let end = rule.scope.ttl.map { (storedAt + $0).microseconds }
        try query(.putKey, [.text(rule.key), .uuid(id), .int(end), .int(Int64(state.rawValue))])
    }

    func setFollowUp(_ followUp: JobID?, of key: String) throws {
        try query(.setKeyFollowUp, [.text(key), .uuid(followUp)])
    }

    /// Frees the key; its follow-up, if it has one, takes it and may run.
    private func free(_ key: String, _ entry: PostgresKey) throws {
        try query(.deleteKey, [.text(key)])
        // The lock of the key is that of its follow-up too: whoever changes one holds it.
        guard let followUp = entry.followUp, var next = try lockOrHold([followUp]).first,
            let rule = next.record.unique
        else { return }
        try giveKey(rule, to: followUp, storedAt: next.record.createdAt, next.record.state)
        try change(&next) { $0.takeKey(at: now) }
    }

    /// After a change of a job: frees the key it no longer needs, or leaves the place of the follow-up.
    func updateKey(of record: JobRecord, was state: JobState) throws {
        guard let key = record.unique?.key else { return }
        if state == .waiting && record.state != .waiting {
            if let entry = try storedKey(key), entry.followUp == record.id { return try setFollowUp(nil, of: key) }
        }
        guard record.state.isFinal || !record.holdsUniqueKey else { return }
        guard let entry = try storedKey(key), entry.holder == record.id else { return }
        if !record.holdsUniqueKey || entry.followUp != nil { try free(key, entry) }
    }

    /// After a job was deleted: frees its key unless that has a time to live and nobody waits.
    func forgetKey(of record: JobRecord) throws {
        guard let key = record.unique?.key, let entry = try storedKey(key) else { return }
        if entry.followUp == record.id { try setFollowUp(nil, of: key) }
        guard entry.holder == record.id else { return }
        guard entry.expiresAt != nil, entry.followUp == nil else { return try free(key, entry) }
        try query(.setKeyState, [.text(key), .int(Int64(record.state.rawValue))])
    }

    /// Why a finished job cannot run again as `copy`: another job has its key.
    func keyRefusal(for record: JobRecord, as copy: JobRecord) throws -> String? {
        guard record.state.isFinal, let rule = copy.unique, rule.scope.ttl == nil, copy.holdsUniqueKey,
            let holder = try keyHolder(rule.key), holder != copy.id
        else { return nil }
        return "its unique key is taken by job \(holder)"
    }

    /// Who has the key, or will have it as soon as somebody looks; changes nothing, so that a dry run can ask.
    private func keyHolder(_ key: String) throws -> JobID? {
        guard let entry = try storedKey(key, locking: false) else { return nil }
        guard let end = entry.expiresAt, end <= now else { return entry.holder }
        return entry.followUp
    }

    /// Lets go of the keys whose time is over.
    /// - Returns: How many.
    func freeExpiredKeys(limit: Int) throws -> Int {
        let result = try query(.expiredKeys, [.int(now.microseconds), .int(Int64(limit))])
        for key in (0..<result.count).map({ result.text($0, 0) }) {
            if let entry = try storedKey(key) { try free(key, entry) }
        }
        return result.count
    }
}
