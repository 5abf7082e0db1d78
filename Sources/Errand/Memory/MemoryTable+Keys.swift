// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import HeapModule

/// Who has a unique key.
///
/// For a key with a TTL it may outlive its job.
struct MemoryKey {
    var holder: JobID
    /// The holder's row; `nil` once it is deleted.
    var row: MemoryRow?
    /// What the holder last was, for when its row is gone.
    var lastState: JobState
    /// The one job that waits for the holder.
    var followUp: MemoryRow?
    /// When a key with a TTL is free again.
    var expiresAt: Timestamp?

    init(_ row: MemoryRow) {
        holder = row.record.id
        self.row = row
        lastState = row.record.state
        expiresAt = row.record.unique?.scope.ttl.map { row.record.createdAt + $0 }
    }

    /// A key that outlived its job in another store.
    init(_ key: ExportedKey) {
        (holder, lastState, expiresAt) = (key.job, key.lastState, key.expiresAt)
    }
}

/// Keys with a TTL by the end of their time; entries of keys that were freed earlier are skipped.
struct MemoryKeyEnds {
    struct End: Comparable {
        let at: Timestamp
        let key: String

        static func < (lhs: End, rhs: End) -> Bool { lhs.at < rhs.at }
    }

    var heap: Heap<End> = []
}

extension MemoryTable {
    /// Who has the key now; lets a follow-up have a key whose time is over.
    mutating func currentKey(_ key: String, at now: Timestamp) -> MemoryKey? {
        while let entry = keys[key], let end = entry.expiresAt, end <= now { free(key, at: now) }
        return keys[key]
    }

    /// Who will have the key once a running job has become `ended`; changes nothing.
    func holder(of key: String, after ended: JobRecord, at now: Timestamp) -> JobID? {
        guard let entry = keys[key] else { return nil }
        let isFreed =
            entry.holder == ended.id && (!ended.holdsUniqueKey || ended.state.isFinal && entry.followUp != nil)
        let isOver = entry.expiresAt.map { $0 <= now } ?? false
        guard isFreed || isOver else { return entry.holder }
        guard let next = entry.followUp else { return nil }
        return MemoryKey(next).expiresAt.map { $0 <= now } ?? false ? nil : next.record.id
    }

    /// Gives the key to the row.
    mutating func giveKey(to row: MemoryRow) {
        guard let rule = row.record.unique else { return }
        let entry = MemoryKey(row)
        keys[rule.key] = entry
        row.holdsKey = true
        if let end = entry.expiresAt { keyEnds.heap.insert(.init(at: end, key: rule.key)) }
    }

    /// Frees the key; its follow-up, if it has one, takes it and may run.
    mutating func free(_ key: String, at now: Timestamp) {
        guard let entry = keys.removeValue(forKey: key) else { return }
        entry.row?.holdsKey = false
        guard let next = entry.followUp else { return }
        next.isFollowUp = false
        giveKey(to: next)
        change(next, at: now) { $0.takeKey(at: now) }
    }

    /// After a change of the row: frees the key it no longer needs, or leaves the place of the follow-up.
    mutating func updateKey(of row: MemoryRow, at now: Timestamp) {
        guard let key = row.record.unique?.key else { return }
        if row.isFollowUp {
            guard row.record.state != .waiting else { return }
            row.isFollowUp = false
            keys[key]?.followUp = nil
        } else if row.holdsKey {
            let isWaitedFor = row.record.state.isFinal && keys[key]?.followUp != nil
            if isWaitedFor || !row.record.holdsUniqueKey { free(key, at: now) }
        }
    }

    /// After the row was deleted: frees its key unless that has a TTL and nobody waits.
    mutating func forgetKey(of row: MemoryRow, at now: Timestamp) {
        guard let key = row.record.unique?.key else { return }
        if row.isFollowUp { keys[key]?.followUp = nil }
        guard row.holdsKey, let entry = keys[key] else { return }
        if entry.expiresAt != nil, entry.followUp == nil {
            keys[key]?.row = nil
            keys[key]?.lastState = row.record.state
        } else {
            free(key, at: now)
        }
    }

    /// Why a finished job cannot run again as `copy`: another job has its key.
    mutating func keyRefusal(for row: MemoryRow, as copy: JobRecord, at now: Timestamp) -> String? {
        guard row.record.state.isFinal, let rule = copy.unique, rule.scope.ttl == nil, copy.holdsUniqueKey else {
            return nil
        }
        guard let entry = currentKey(rule.key, at: now), entry.holder != copy.id else { return nil }
        return "its unique key is taken by job \(entry.holder)"
    }
}
