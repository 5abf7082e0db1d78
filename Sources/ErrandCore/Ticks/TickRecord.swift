// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What became of a tick.
public enum TickDecision: String, Sendable, Hashable, Codable, CaseIterable, CodingKeyRepresentable {
    /// Its job was enqueued.
    case enqueued
    /// Its job's own unique key was taken; the job that has it does the work.
    case duplicate
    /// The store refused its job.
    case refused
    /// It waits for an earlier job of the schedule.
    case queued
    /// Another tick's job does its work.
    case coalesced
    /// It was missed, and the policy does not catch up with it.
    case skippedMisfire
    /// An earlier job of the schedule was not done.
    case skippedOverlap
    /// The schedule was paused.
    case skippedPaused
    /// The code that builds the job said that there is nothing to do.
    case skippedByCode

    /// Whether a job did or will do its work: what a backfill does not repeat.
    public var isRun: Bool { self == .enqueued || self == .duplicate || self == .queued }
}

/// What a decision is about.
public enum TickKind: String, Sendable, Hashable, Codable, CaseIterable {
    /// A tick on time.
    case regular
    /// A tick that was missed.
    case catchUp
    /// A nominal time that somebody asked to run.
    case backfill
    /// No nominal time: somebody asked for a run now.
    case trigger
}

/// What a decision is kept under, unique in its schedule: no second decision can have it.
public struct TickKey: Sendable, Hashable, Comparable, Codable, RawRepresentable {
    /// The key as stored.
    public let rawValue: String

    /// A key from stored text.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The key of a tick: its nominal time in whole seconds since 1970.
    public static func tick(_ nominal: Timestamp) -> TickKey {
        TickKey(rawValue: "\(Civil.floor(nominal.microseconds, by: 1_000_000))")
    }

    /// The key of a row for several ticks in a row.
    static func range(_ first: Timestamp, _ last: Timestamp) -> TickKey {
        TickKey(rawValue: tick(first).rawValue + ".." + tick(last).rawValue)
    }

    /// The key of a run that somebody asked for, by the caller's own token.
    public static func trigger(_ token: String) -> TickKey { TickKey(rawValue: "trig:" + token) }

    /// The key of a nominal time that runs again.
    static func rerun(_ token: String, _ nominal: Timestamp) -> TickKey {
        TickKey(rawValue: "bf:" + token + ":" + tick(nominal).rawValue)
    }

    public static func < (lhs: TickKey, rhs: TickKey) -> Bool { lhs.rawValue < rhs.rawValue }
}

/// One decision, as the store keeps it for ``ScheduleRecord/kept``; a row for several ticks in a row when none of them
/// had a job and all had the same reason.
public struct TickRecord: Sendable, Hashable, Codable {
    /// Whose.
    public var schedule: ScheduleID
    /// What it is kept under.
    public var key: TickKey
    /// The nominal time; the first of several.
    public var nominal: Timestamp
    /// The last nominal time; the same when the row is for one.
    public var through: Timestamp
    /// How many ticks it is for.
    public var count: Int
    /// What it is about.
    public var kind: TickKind
    /// What became of it.
    public var decision: TickDecision
    /// The job that does the work.
    public var job: JobID?
    /// When it was decided, in store time.
    public var decidedAt: Timestamp
    /// Who decided.
    public var decidedBy: String
    /// The schedule's revision then.
    public var revision: Int
    /// A few words on why, when the decision alone does not say it.
    public var note: String?

    /// A decision on one tick.
    public init(
        schedule: ScheduleID,
        key: TickKey,
        nominal: Timestamp,
        kind: TickKind,
        decision: TickDecision,
        job: JobID? = nil,
        decidedAt: Timestamp,
        decidedBy: String,
        revision: Int,
        note: String? = nil
    ) {
        self.schedule = schedule
        self.key = key
        self.nominal = nominal
        through = nominal
        count = 1
        self.kind = kind
        self.decision = decision
        self.job = job
        self.decidedAt = decidedAt
        self.decidedBy = decidedBy
        self.revision = revision
        self.note = note
    }

    /// The row as it is stored once the store answered what became of its job.
    public func answered(_ answer: InsertAnswer) -> TickRecord {
        var row = self
        switch answer {
        case .stored, .claimed: row.job = answer.id
        case .duplicate(let holder, _), .replaced(let holder):
            row.decision = .duplicate
            row.job = holder
        case .refused(let error):
            row.decision = .refused
            row.job = nil
            row.note = error.message
        }
        return row
    }
}
