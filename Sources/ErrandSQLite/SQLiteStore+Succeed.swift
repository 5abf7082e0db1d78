// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension SQLiteSession {
    private struct Success {
        let index: Int
        let lease: Lease
        let result: Payload?
        let facts: Held
    }

    /// The commonest settles in one statement for all of them: first tries of jobs without a unique key that this session
    /// claimed and that succeeded, so that there is nothing to decide and nothing to read.
    ///
    /// The fence is in its condition; a cancel request, which may have come meanwhile, is too. One statement for many rows
    /// takes half as long as one for each.
    /// - Returns: The indices of those that it ended; the others have to be decided one by one.
    func succeed(_ settlements: [Settlement], at now: Timestamp) throws -> Set<Int> {
        var byWorker: [Int64: [Success]] = [:]
        for (index, settlement) in settlements.enumerated() {
            let lease = settlement.lease
            guard case .succeeded(let result) = settlement.outcome, settlement.followUps.isEmpty, lease.epoch == 1,
                let facts = held[lease.row], facts.job == lease.job, try number(of: lease.worker) == facts.worker
            else { continue }
            // Whatever becomes of it: a repeat has to ask the row.
            held[lease.row] = nil
            byWorker[facts.worker, default: []]
                .append(Success(index: index, lease: lease, result: result, facts: facts))
        }
        var ended: Set<Int> = []
        for (worker, successes) in byWorker {
            let rows = try succeed(successes.map(\.lease.row), of: worker, at: now)
            for success in successes where rows?.contains(success.lease.row) ?? true {
                try keep(success, at: now)
                ended.insert(success.index)
            }
        }
        return ended
    }

    /// - Returns: Which rows it ended; `nil` for all.
    private func succeed(_ rows: [Int64], of worker: Int64, at now: Timestamp) throws -> Set<Int64>? {
        let list = FlatJSON.text(rows)
        let update = try command(.succeedRows)
        update.bind(1, list)
        update.bind(2, worker)
        update.bind(3, now.microseconds)
        if try update.run() == rows.count { return nil }
        let find = try command(.succeededRows)
        find.bind(1, list)
        find.bind(2, worker)
        find.bind(3, now.microseconds)
        return Set(try find.all { $0.int64(0) })
    }

    private func keep(_ success: Success, at now: Timestamp) throws {
        let facts = success.facts
        effects.tally(lane: facts.lane, .running, -1)
        effects.tally(lane: facts.lane, .succeeded, 1)
        effects.count(.succeeded, lane: facts.lane, at: now)
        effects.count(.run, lane: facts.lane, bucket: SeriesMetric.bucket(of: now - facts.startedAt), at: now)
        effects.finished.append(success.lease.job)
        if let result = success.result {
            try put(result, row: success.lease.row, until: now + facts.resultTTL, at: now)
        }
    }
}
