// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The attempts that run here, by lease: to stop one of them.
///
/// Not by job: a job may be claimed anew here while its earlier attempt, whose lease was lost, is still running.
final class RunningJobs: Sendable {
    private let jobs = BusyMutex<[Lease: RunningJob]>([:])

    func add(_ job: RunningJob) {
        jobs.withLock { $0[job.lease] = job }
    }

    /// Forgets jobs whose outcome reached the store or was given up.
    func remove(_ settled: [RunningJob]) {
        jobs.withLock { jobs in
            for job in settled { jobs[job.lease] = nil }
        }
    }

    /// The attempt under this very lease.
    subscript(lease: Lease) -> RunningJob? { jobs.withLock { $0[lease] } }

    /// Whether an attempt at one of these runs.
    func contains(anyOf ids: Set<JobID>) -> Bool {
        jobs.withLock { $0.keys.contains { ids.contains($0.job) } }
    }

    /// In the order of their leases, so that what a seed decides does not hang on the order of a dictionary.
    var all: [RunningJob] {
        jobs.withLock { $0.values.sorted { ($0.lease.job, $0.lease.epoch) < ($1.lease.job, $1.lease.epoch) } }
    }

    var isEmpty: Bool { jobs.withLock { $0.isEmpty } }
}
