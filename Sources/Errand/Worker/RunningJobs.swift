// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The attempts that run here, by job: to stop one of them.
final class RunningJobs: Sendable {
    private let jobs = Mutex<[JobID: RunningJob]>([:])

    func add(_ job: RunningJob) {
        jobs.withLock { $0[job.lease.job] = job }
    }

    /// Forgets jobs whose outcome reached the store or was given up. A newer claim of the same job stays.
    func remove(_ settled: [RunningJob]) {
        jobs.withLock { jobs in
            for job in settled where jobs[job.lease.job]?.lease == job.lease { jobs[job.lease.job] = nil }
        }
    }

    subscript(id: JobID) -> RunningJob? { jobs.withLock { $0[id] } }

    /// The attempt under this very lease; what the store says of an earlier one is not about it.
    subscript(lease: Lease) -> RunningJob? {
        jobs.withLock { $0[lease.job].flatMap { $0.lease == lease ? $0 : nil } }
    }

    var all: [RunningJob] { jobs.withLock { Array($0.values) } }

    var isEmpty: Bool { jobs.withLock { $0.isEmpty } }
}
