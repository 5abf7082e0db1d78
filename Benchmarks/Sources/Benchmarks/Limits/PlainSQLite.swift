// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// The life of no-op jobs as plain statements in batches on the shipped schema, the same rows as those of the
/// store, counts included: no runtime, no decisions.
struct PlainSQLite: PlainJobs {
    private let connection: PlainConnection
    private let insertJob: PlainStatement
    private let insertDetails: PlainStatement
    private let ready: PlainStatement
    private let claim: PlainStatement
    private let succeed: PlainStatement
    private var counts: PlainCounts
    private let lane: Int64 = 1_000_000
    private let payload = Array(#"{"number":12345}"#.utf8)
    private let ids: [[UInt8]]
    private var stored = 0

    /// - Parameter count: The most jobs that will be stored; their ids are made before anything is measured.
    init(_ target: Target, storing count: Int) throws {
        let clock = SystemClock.shared
        ids = (0..<count).map { _ in Chance.system.jobID(at: clock.now).bytes }
        connection = try PlainConnection(target)
        try connection.run(
            """
            INSERT OR IGNORE INTO errand_lanes VALUES (\(lane), 'plain', 'no-op', 1); \
            INSERT OR IGNORE INTO errand_retry_policies VALUES (1000000, 'plain'); \
            INSERT OR IGNORE INTO errand_worker_ids VALUES (1000000, x'00')
            """
        )
        counts = try PlainCounts(connection, lane: lane)
        insertJob = try connection.prepare(
            """
            INSERT INTO errand_jobs (id, lane, state, rank, run_at, priority, epoch, attempt, created_at) \
            VALUES (?1, \(lane), 3, ?2, ?2, 5, 0, 0, ?2)
            """
        )
        insertDetails = try connection.prepare(
            """
            INSERT INTO errand_details (row, retry, crashes_allowed, timeout, result_ttl, payload) \
            VALUES (?1, 1000000, 3, 900000000, 86400000000, ?2)
            """
        )
        ready = try connection.prepare(
            """
            SELECT j.row, d.payload FROM errand_jobs j INDEXED BY errand_jobs_ready \
            JOIN errand_details d ON d.row = j.row \
            WHERE j.lane = \(lane) AND j.state = 3 AND j.hold IS NULL ORDER BY j.rank LIMIT ?1
            """
        )
        claim = try connection.prepare(
            """
            UPDATE errand_jobs SET state = 4, worker = 1000000, epoch = 1, attempt = 1, started_at = ?2 \
            WHERE row = ?1 AND state = 3
            """
        )
        succeed = try connection.prepare(
            """
            UPDATE errand_jobs SET state = 5, finished_at = ?2 \
            WHERE row = ?1 AND state = 4 AND epoch = 1 AND worker = 1000000
            """
        )
    }

    mutating func insert(_ count: Int, commits: Int) throws {
        let batch = Self.share(of: count, commits)
        for start in stride(from: 0, to: count, by: batch) {
            try transaction { try $0.insertRows(min(batch, count - start)) }
        }
    }

    /// As a loop that settles one batch with the claim of the next, in one transaction.
    mutating func drain(_ count: Int, commits: Int) throws {
        let batch = Self.share(of: count, commits)
        var (claimed, finished): ([Int64], Int) = ([], 0)
        while finished < count {
            try transaction { jobs in
                let next = try jobs.claimRows(min(batch, count - finished - claimed.count))
                try jobs.finish(claimed)
                finished += claimed.count
                claimed = next
            }
        }
    }

    /// Stores, claims and ends in one transaction.
    mutating func live(_ count: Int, commits: Int) throws {
        let batch = Self.share(of: count, commits)
        var (claimed, finished, inserted): ([Int64], Int, Int) = ([], 0, 0)
        while finished < count {
            try transaction { jobs in
                let new = min(batch, count - inserted)
                try jobs.insertRows(new)
                inserted += new
                let next = try jobs.claimRows(min(batch, count - finished - claimed.count))
                try jobs.finish(claimed)
                finished += claimed.count
                claimed = next
            }
        }
    }

    func close() {}

    private mutating func transaction(_ body: (inout PlainSQLite) throws -> Void) throws {
        try connection.run("BEGIN IMMEDIATE")
        try body(&self)
        try counts.write()
        try connection.run("COMMIT")
    }

    private mutating func insertRows(_ count: Int) throws {
        let now = SystemClock.shared.now.microseconds
        for _ in 0..<count {
            insertJob.bind(1, ids[stored])
            insertJob.bind(2, now)
            try insertJob.run()
            insertDetails.bind(1, connection.lastRow)
            insertDetails.bind(2, payload)
            try insertDetails.run()
            stored += 1
        }
        counts.inserted += count
    }

    private mutating func claimRows(_ count: Int) throws -> [Int64] {
        guard count > 0 else { return [] }
        let now = SystemClock.shared.now.microseconds
        ready.bind(1, Int64(count))
        let rows = ready.rows().map(\.row)
        for row in rows {
            claim.bind(1, row)
            claim.bind(2, now)
            try claim.run()
        }
        counts.claimed += rows.count
        return rows
    }

    private mutating func finish(_ rows: [Int64]) throws {
        let now = SystemClock.shared.now.microseconds
        for row in rows {
            succeed.bind(1, row)
            succeed.bind(2, now)
            try succeed.run()
        }
        counts.finished += rows.count
    }
}
