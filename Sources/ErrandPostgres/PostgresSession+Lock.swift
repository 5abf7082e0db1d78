// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension PostgresSession {
    /// A row that was locked, or why it cannot be read.
    typealias Locked = Result<PostgresRow, StoreError>

    /// Locks jobs with their unique keys and reads them.
    ///
    /// - Parameter passing: Leave out what another transaction holds, instead of waiting for it.
    func lock(_ ids: [JobID], passing: Bool = false, withPayload: Bool = false) throws -> [JobID: Locked] {
        guard !ids.isEmpty else { return [:] }
        let busy = try lockKeys(of: ids, passing: passing)
        let plain: PostgresQuery = withPayload ? .lockJobsWithPayload : .lockJobs
        let free: PostgresQuery = withPayload ? .lockJobsFreeWithPayload : .lockJobsFree
        let result = try query(passing ? free : plain, [.uuids(ids)])
        var found: [JobID: Locked] = [:]
        for row in 0..<result.count {
            guard let id = result.id(row, 0) else { continue }
            let locked = try readJob(result, row)
            if case .success(let job) = locked, let key = job.record.unique?.key, busy.contains(key) { continue }
            found[id] = locked
        }
        return found
    }

    /// Locks the unique keys of jobs, which comes before locking the jobs.
    /// - Returns: The keys that others hold.
    private func lockKeys(of ids: [JobID], passing: Bool) throws(PostgresFailure) -> Set<String> {
        let found = try query(.keysOfJobs, [.uuids(ids)])
        guard found.count > 0 else { return [] }
        let keys = PostgresValue.texts((0..<found.count).map { found.text($0, 0) })
        guard passing else {
            try query(.lockKeys, [keys])
            return []
        }
        let locked = try query(.lockKeysFree, [keys])
        let own = Set((0..<locked.count).map { locked.text($0, 0) })
        let all = try query(.existingKeys, [keys])
        return Set((0..<all.count).map { all.text($0, 0) }).subtracting(own)
    }

    /// Locks jobs for somebody who goes on with the others when one cannot be read: that one is held, and all it says is
    /// kept. In the order of the ids.
    func lockOrHold(_ ids: [JobID], passing: Bool = false, withPayload: Bool = false) throws -> [PostgresRow] {
        let locked = try lock(ids, passing: passing, withPayload: withPayload)
        return try ids.compactMap { id in
            switch locked[id] {
            case .success(let row): return row
            case .failure(let error):
                try setAside(id, because: error.message)
                return nil
            case nil: return nil
            }
        }
    }

    /// Takes a row out of the indexes that workers and maintenance look at, without reading it: a job that runs or
    /// waits is held, an ended one is no longer pruned.
    private func setAside(_ id: JobID, because why: String) throws {
        let place = try query(.placeOfJob, [.uuid(id)])
        guard place.count == 1 else { return }
        setAsideCount += 1
        let hold = Hold(actor: "errand", reason: why, since: now, until: nil)
        try query(.setAside, [.uuid(id), .text(hold.stored)])
        if place.int(0, 1) == JobState.running.rawValue {
            effects.tally(lane: place.int64(0, 0), .running, -1)
            effects.tally(lane: place.int64(0, 0), .ready, 1)
        }
        try write(
            AuditEntry(at: now, actor: "errand", action: "hold", target: "job \(id)", reason: why, changed: 1)
        )
        shared.unreadable.note("job \(id)", why)
    }
}
