// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The jobs a worker holds, by job: to list them in beats, to stop one of them, to notice when there are none.
final class RunningJobs: Sendable {
    private let jobs = Mutex<[JobID: RunningJob]>([:])
    private let onEmpty: @Sendable () -> Void

    /// - Parameter onEmpty: Called when the last one is gone.
    init(onEmpty: @escaping @Sendable () -> Void) {
        self.onEmpty = onEmpty
    }

    func add(_ job: RunningJob) {
        jobs.withLock { $0[job.lease.job] = job }
    }

    /// Forgets a job whose outcome reached the store or was given up. A newer claim of the same job stays.
    func remove(_ job: RunningJob) {
        let isEmpty = jobs.withLock { jobs in
            if jobs[job.lease.job]?.lease == job.lease { jobs[job.lease.job] = nil }
            return jobs.isEmpty
        }
        if isEmpty { onEmpty() }
    }

    subscript(id: JobID) -> RunningJob? { jobs.withLock { $0[id] } }

    var all: [RunningJob] { jobs.withLock { Array($0.values) } }

    var isEmpty: Bool { jobs.withLock { $0.isEmpty } }
}
