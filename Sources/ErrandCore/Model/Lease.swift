// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The right to write about a running job, given by a claim.
///
/// Every later write about the job carries it, and the store refuses the write when the job has moved on:
/// the epoch is raised at every claim and every rescue, so a worker that was stopped and came back cannot
/// change anything.
public struct Lease: Sendable, Hashable {
    /// The job.
    public let job: JobID
    /// Who holds it.
    public let worker: WorkerID
    /// The fencing number of this claim; larger than that of any earlier claim of the job.
    public let epoch: Int64
    /// Whatever the store that made the lease needs to find the row at once; 0 when it needs nothing. Nobody
    /// else reads it, and a store must check ``job`` as well.
    public let row: Int64

    /// Job and epoch are enough to tell leases apart; hashing them alone is cheaper, and workers hash every lease.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(job.low)
        hasher.combine(epoch)
    }

    /// A lease as a store makes it.
    public init(job: JobID, worker: WorkerID, epoch: Int64, row: Int64 = 0) {
        self.job = job
        self.worker = worker
        self.epoch = epoch
        self.row = row
    }
}
