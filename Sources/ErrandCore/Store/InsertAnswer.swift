// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What became of one job of an insert.
public enum InsertAnswer: Sendable, Hashable {
    /// It is stored.
    case stored(JobID)
    /// It is stored and already claimed by the worker that offered a slot; see ``ClaimOffer``.
    case claimed(ClaimedJob)
    /// Its unique key is taken by this job, which stays. Nothing was stored.
    case duplicate(of: JobID, JobState)
    /// Its unique key is taken by this pending job, which took fields of it.
    case replaced(JobID)
    /// It was refused, and why; nothing was stored. The other jobs of the same insert are not affected.
    case refused(StoreError)

    /// The job that now does the work; `nil` when the job was refused.
    public var id: JobID? {
        switch self {
        case .stored(let id), .duplicate(let id, _), .replaced(let id): id
        case .claimed(let claimed): claimed.record.id
        case .refused: nil
        }
    }
}
