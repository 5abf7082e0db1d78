// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A schedule as a store keeps it: what it is, and how far its ticks are decided.
///
/// A store keeps the record as one value beside the few fields that it searches by (``dueAt``, ``cursor``,
/// ``version``), and changes it only by ``ScheduleChange``, which insists on the version that its maker saw.
public struct ScheduleRecord: Sendable, Hashable, Codable {
    /// What a schedule is; what its hash covers.
    public struct Definition: Sendable, Hashable, Codable {
        /// When it fires.
        public var trigger: Trigger
        /// What happens when things are not as usual.
        public var policy: SchedulePolicy
        /// What it enqueues: a job whose id and start are made anew for each tick. `nil` when code builds it.
        public var job: NewJob?

        /// A definition.
        public init(trigger: Trigger, policy: SchedulePolicy = .standard, job: NewJob?) {
            self.trigger = trigger
            self.policy = policy
            self.job = job
        }
    }

    /// Who says what it is.
    public enum Source: String, Sendable, Hashable, Codable {
        /// The program: each release brings its list.
        case code
        /// Somebody at run time; no release touches it.
        case dynamic
    }

    /// Its name.
    public let id: ScheduleID
    /// Who says what it is.
    public let source: Source
    /// What it is.
    public var definition: Definition
    /// A digest of ``definition``, to tell whether a release changed it.
    public var hash: String
    /// The build that wrote the definition; older builds leave it alone.
    public var build: Int64
    /// An operator's trigger in place of the definition's; kept across releases.
    public var override: Trigger?
    /// Raised by every edit, pause and resume; an edit may insist on the one it saw.
    public var revision: Int
    /// Raised by every write; ``ScheduleChange`` insists on it.
    public var version: Int64

    /// Where it stands.
    public var state: ScheduleState
    /// Who paused it, and why; kept while it is `paused`.
    public var pause: SchedulePause?
    /// Why it is `broken`.
    public var reason: String?
    /// How many times in a row it could not be decided.
    public var failures: Int

    /// When the store took it.
    public var createdAt: Timestamp
    /// When somebody last changed what it is or whether it runs.
    public var changedAt: Timestamp
    /// Every nominal time up to here is decided.
    public var cursor: Timestamp
    /// The newest nominal time with a decision; ahead of ``cursor`` after a backfill, or when the clock was set back.
    public var decidedThrough: Timestamp
    /// The next nominal time; `nil` when there is none or nobody knows it yet.
    public var next: Timestamp?
    /// When somebody has to look; `nil` for never.
    public var dueAt: Timestamp?

    /// How many jobs it enqueued; what a trigger's limit counts.
    public var runs: Int
    /// How many ticks each decision had.
    public var decisions: [TickDecision: Int]
    /// How many ticks in a row were skipped because an earlier job was not done.
    public var skips: Int
    /// Whether the oldest of a long row of missed ticks was fired and the rest is still being counted.
    public var isCatchingUp: Bool
    /// The jobs that may not be finished, oldest first, and the newest in any case.
    public var unfinished: [ScheduledJob]
    /// Ticks that wait for an earlier job, oldest first.
    public var queued: [Timestamp]
    /// Backfills under way, oldest first.
    public var backfills: [ScheduleBackfill]
    /// How many looks in a row found the earlier job still running.
    public var waits: Int

    /// A new schedule, with every nominal time up to `now` behind it.
    public init(
        id: ScheduleID,
        source: Source,
        definition: Definition,
        hash: String,
        build: Int64 = 0,
        at now: Timestamp
    ) {
        self.id = id
        self.source = source
        self.definition = definition
        self.hash = hash
        self.build = build
        (revision, version, state, failures) = (1, 1, .active, 0)
        (createdAt, changedAt, cursor, decidedThrough, dueAt) = (now, now, now, now, now)
        (runs, decisions, skips, isCatchingUp, waits) = (0, [:], 0, false, 0)
        (unfinished, queued, backfills) = ([], [], [])
    }

    /// What it fires by: the operator's trigger, else the definition's.
    public var trigger: Trigger { override ?? definition.trigger }
}

/// Where a schedule stands.
public enum ScheduleState: String, Sendable, Hashable, Codable, CaseIterable {
    /// Its ticks are decided as they come.
    case active
    /// Its ticks are not fired; see ``SchedulePause``.
    case paused
    /// It has no further tick. Kept for ``ScheduleRecord/kept``.
    case completed
    /// Its ticks cannot be decided: its zone is gone, its job cannot be built. It is tried again, with growing pauses
    /// up to 5 minutes, and no tick is lost.
    case broken
    /// The program does not declare it any more. It comes back when it is declared again.
    case retired
}

/// Who paused a schedule, and why.
public struct SchedulePause: Sendable, Hashable, Codable {
    /// Who.
    public var actor: String
    /// Why.
    public var note: String
    /// Since when.
    public var since: Timestamp
    /// When it ends by itself; `nil` for never.
    public var until: Timestamp?

    /// A pause.
    public init(actor: String, note: String, since: Timestamp, until: Timestamp? = nil) {
        self.actor = actor
        self.note = note
        self.since = since
        self.until = until
    }
}

/// A job that a schedule enqueued.
public struct ScheduledJob: Sendable, Hashable, Codable {
    /// The job.
    public var id: JobID
    /// The nominal time it is for.
    public var nominal: Timestamp

    /// A scheduled job.
    public init(id: JobID, nominal: Timestamp) {
        self.id = id
        self.nominal = nominal
    }
}

/// A request to run the nominal times of a span, worked off beside the ticks.
public struct ScheduleBackfill: Sendable, Hashable, Codable {
    /// The token its caller made.
    public var token: String
    /// Every nominal time of the span up to here is done with.
    public var position: Timestamp
    /// The end of the span, which is not part of it.
    public var end: Timestamp
    /// How many of the schedule's jobs may be unfinished at once; 1 runs one after another.
    public var width: Int
    /// Whether times that ran already run again.
    public var isRerun: Bool

    /// A backfill.
    public init(token: String, position: Timestamp, end: Timestamp, width: Int, isRerun: Bool) {
        self.token = token
        self.position = position
        self.end = end
        self.width = width
        self.isRerun = isRerun
    }
}

extension ScheduleRecord {
    /// How long decisions, and schedules that are complete, are kept: 30 days.
    public static let kept: Duration = .days(30)

    /// How far ahead of the store's clock a cursor may be before the clock is taken to have been set back.
    public static let clockTolerance: Duration = .seconds(60)
}

extension ScheduleRecord {
    /// Whether it was complete, or retired, for so long that a store forgets it.
    public func isForgotten(at now: Timestamp) -> Bool {
        endedAt.map { $0 + Self.kept <= now } ?? false
    }

    /// Since when it is complete or retired; `nil` while it is neither.
    package var endedAt: Timestamp? { state == .completed || state == .retired ? changedAt : nil }
}
