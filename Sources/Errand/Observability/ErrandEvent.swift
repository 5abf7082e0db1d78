// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What happened in this process, as typed values; see ``EventHub``.
public enum ErrandEvent: Sendable, Hashable {
    /// A job was enqueued, or met its unique key; the id is that of the job that does the work. A quick worker may
    /// have started it before this is told.
    case enqueued(JobID, JobName, QueueName, EnqueueResult.Kind)
    /// An attempt starts.
    case started(JobID, JobName, QueueName, attempt: Int)
    /// An attempt ended and the job is now in this state.
    case ended(JobID, JobName, QueueName, JobState, Outcome)
    /// An attempt ended, but the store no longer honoured its lease; nothing was written.
    case leaseLost(JobID, JobName)
    /// A handler ignored its cancellation for longer than the grace; its slot was taken from it.
    case abandoned(JobID, JobName)
    /// A handler has held a thread for this long without suspending.
    case blocking(JobName, Duration)
    /// Jobs of dead workers were given back, or ended as poison.
    case rescued([JobID: JobState])
    /// Jobs wait although no live worker knows their name or version.
    case orphaned([OrphanedName])
    /// The store cannot be reached; claims pause.
    case storeLost(StoreError)
    /// The store is back; claims resume.
    case storeBack
    /// The worker no longer trusts its leases, because it could not beat for too long.
    case fenced
    /// What became of a schedule's tick was stored.
    case ticked(TickRecord)
    /// A schedule's ticks cannot be decided, and why; they are kept.
    case scheduleBroken(ScheduleID, String)
    /// Ticks in a row were skipped because this job of the schedule is not done.
    case scheduleBlocked(ScheduleID, by: JobID)
    /// The store's clock jumped ahead by this; schedules wait until it is believed.
    case clockJumped(Duration)
}
