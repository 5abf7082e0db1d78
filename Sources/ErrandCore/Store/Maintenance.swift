// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Work that keeps a store healthy. Any worker may do any of it at any time: each call is a small bite that
/// starts from job rows, is safe to repeat, and holds no lock between calls. There is no leader.
public enum MaintenanceTask: Sendable, Hashable {
    /// Gives back the jobs of workers that are dead: silent for longer than `silence`, or known to be gone.
    ///
    /// `sparing` is the worker that asks; it lives, whatever its row says. When its own row is as silent, the clock
    /// was set, the machine slept or the store was away: then the silence of others proves nothing either, and
    /// nobody is judged by it until the one that asks has beaten again.
    case rescue(silence: Duration, sparing: WorkerID? = nil)
    /// Expires jobs that were not started in time, ends holds whose time is over.
    case expire
    /// Deletes finished jobs beyond what the policy keeps.
    case prune(RetentionPolicy)
    /// Deletes results, unique keys, counters and decisions of schedules whose time is over, schedules that were
    /// complete for as long, and dead workers without jobs.
    case sweep
    /// Lists ready jobs that no live worker can run.
    case findOrphans(olderThan: Duration)
    /// Compares the kept counts with the rows and repairs them.
    case recount
}

/// What one bite of maintenance did.
public struct MaintenanceReport: Sendable, Hashable {
    /// Jobs given back or ended by a rescue, with what they became.
    public var rescued: [JobID: JobState]
    /// Workers found dead.
    public var deadWorkers: [WorkerID]
    /// Rows expired, released, deleted, swept or repaired, or held because this build cannot read them.
    public var affected: Int
    /// Names that wait although no live worker knows them, with how many jobs and since when.
    public var orphans: [OrphanedName]
    /// Whether there is more to do right away.
    public var hasMore: Bool

    /// A report.
    public init(
        rescued: [JobID: JobState] = [:],
        deadWorkers: [WorkerID] = [],
        affected: Int = 0,
        orphans: [OrphanedName] = [],
        hasMore: Bool = false
    ) {
        self.rescued = rescued
        self.deadWorkers = deadWorkers
        self.affected = affected
        self.orphans = orphans
        self.hasMore = hasMore
    }
}

/// Ready jobs that no live worker can run: of an unknown name, or of a version newer than any worker decodes.
public struct OrphanedName: Sendable, Hashable {
    /// The queue they wait in.
    public var queue: QueueName
    /// Their name.
    public var name: JobName
    /// Their payload version.
    public var version: Int
    /// How many there are.
    public var count: Int
    /// Since when the oldest is ready.
    public var since: Timestamp

    /// An orphaned name.
    public init(queue: QueueName, name: JobName, version: Int, count: Int, since: Timestamp) {
        self.queue = queue
        self.name = name
        self.version = version
        self.count = count
        self.since = since
    }
}

/// How long finished jobs are kept: by age and by count, for each final state.
public struct RetentionPolicy: Sendable, Hashable {
    /// How long jobs of each final state are kept after their end; a state that is absent is kept for ever.
    public var ages: [JobState: Duration]
    /// The most jobs kept of each queue and final state; the oldest go first. `nil` for no limit.
    public var maximum: Int?
    /// The most rows deleted in one call.
    public var bite: Int

    /// A policy. Defaults: succeeded 24 h; cancelled, expired and skipped 3 days; failed 90 days; at most
    /// 100,000 of each queue and state; 1,000 rows a bite.
    public init(
        ages: [JobState: Duration] = RetentionPolicy.defaultAges,
        maximum: Int? = 100_000,
        bite: Int = 1000
    ) {
        self.ages = ages.filter { $0.key.isFinal }
        self.maximum = maximum
        self.bite = max(bite, 1)
    }

    /// The default ages.
    public static let defaultAges: [JobState: Duration] = [
        .succeeded: .hours(24), .cancelled: .days(3), .expired: .days(3), .skipped: .days(3), .failed: .days(90),
    ]
}
