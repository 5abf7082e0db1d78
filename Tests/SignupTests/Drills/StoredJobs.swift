// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation
import GRDB

/// What the file says, read without the library that wrote it.
struct StoredJobs {
    struct Try {
        var epoch: Int64
        var worker: Int64
        var startedAt: Int64
        /// `nil` for the last one of a job, whose end the job's row tells.
        var ending: String?
    }

    struct Job {
        var state: JobState?
        var epoch: Int64
        var attempt: Int
        var crashes: Int
        var releases: Int
        var failures: Int
        /// All attempts, by epoch; the last one also when it left no row of its own.
        var tries: [Try]
    }

    var jobs: [JobID: Job] = [:]

    /// Reads all jobs in the file.
    init(path: String) throws {
        try Self.read(path) { db in
            var tries: [Int64: [Try]] = [:]
            for row in try Row.fetchAll(db, sql: "SELECT * FROM errand_attempts ORDER BY row, epoch") {
                let attempt = Try(
                    epoch: row["epoch"],
                    worker: row["worker"],
                    startedAt: row["started_at"],
                    ending: row["ending"]
                )
                tries[row["row"], default: []].append(attempt)
            }
            for row in try Row.fetchAll(db, sql: "SELECT * FROM errand_jobs") {
                let bytes: Data = row["id"]
                guard let id = JobID(bytes: bytes) else { continue }
                var job = Job(
                    state: JobState(rawValue: row["state"]),
                    epoch: row["epoch"],
                    attempt: row["attempt"],
                    crashes: row["crashes"],
                    releases: row["releases"],
                    failures: row["failures"],
                    tries: tries[row["row"]] ?? []
                )
                if job.tries.last?.epoch != job.epoch, let worker = row["worker"] as Int64? {
                    job.tries.append(Try(epoch: job.epoch, worker: worker, startedAt: row["started_at"], ending: nil))
                }
                jobs[id] = job
            }
        }
    }

    /// The workers that the file knows at this moment, and when each registered, in store time.
    static func workers(path: String) throws -> [Int64: Int64] {
        try read(path) { db in
            try Row.fetchAll(db, sql: "SELECT worker, started_at FROM errand_workers")
                .reduce(into: [:]) { $0[$1["worker"]] = $1["started_at"] }
        }
    }

    private static func read<Value>(_ path: String, _ body: (Database) throws -> Value) throws -> Value {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        defer { try? queue.close() }
        return try queue.read(body)
    }
}
