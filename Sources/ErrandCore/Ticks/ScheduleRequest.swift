// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Which schedules to read.
public enum ScheduleRequest: Sendable, Hashable {
    /// Those that somebody has to look at: `dueAt` is not later than the store's time, or `cursor` is more than
    /// ``ScheduleRecord/clockTolerance`` ahead of it. By `dueAt` and id, at most `limit`, behind the mark.
    case due(limit: Int, after: ScheduleMark? = nil)
    /// These; unknown ids are missing from the answer.
    case ids([ScheduleID])
    /// All, by id, at most `limit`, behind the one named.
    case page(after: ScheduleID? = nil, limit: Int)
}

/// A place in the order of due schedules.
public struct ScheduleMark: Sendable, Hashable {
    /// When the last one was due.
    public var dueAt: Timestamp
    /// The last one.
    public var id: ScheduleID

    /// A place.
    public init(dueAt: Timestamp, id: ScheduleID) {
        self.dueAt = dueAt
        self.id = id
    }
}

/// Schedules as they stand.
public struct ScheduleAnswer: Sendable, Hashable {
    /// Store time.
    public var at: Timestamp
    /// The schedules, in the order asked for.
    public var schedules: [ScheduleStanding]
    /// When the next schedule is due that is not due yet; filled for ``ScheduleRequest/due(limit:after:)``.
    public var nextDue: Timestamp?

    /// An answer.
    public init(at: Timestamp, schedules: [ScheduleStanding], nextDue: Timestamp? = nil) {
        self.at = at
        self.schedules = schedules
        self.nextDue = nextDue
    }
}

/// A schedule and where the jobs stand that it may wait for.
public struct ScheduleStanding: Sendable, Hashable {
    /// The schedule.
    public var record: ScheduleRecord
    /// Of the jobs in ``ScheduleRecord/unfinished`` those that are stored: their state, and when they became final.
    public var jobs: [JobID: JobEnd]

    /// A job's state as far as a schedule asks for it.
    public struct JobEnd: Sendable, Hashable {
        /// Its state.
        public var state: JobState
        /// When it became final.
        public var finishedAt: Timestamp?

        /// A state.
        public init(state: JobState, finishedAt: Timestamp? = nil) {
            self.state = state
            self.finishedAt = finishedAt
        }
    }

    /// A schedule as it stands.
    public init(record: ScheduleRecord, jobs: [JobID: JobEnd] = [:]) {
        self.record = record
        self.jobs = jobs
    }
}

/// Which decisions of a schedule to read.
public struct TickRequest: Sendable, Hashable {
    /// How they are found.
    public enum Selection: Sendable, Hashable {
        /// Rows that touch a span of nominal times, newest nominal time first, behind the row named.
        case span(ClosedRange<Timestamp>, after: TickRecord?)
        /// The rows under these keys, in any order.
        case keys([TickKey])
    }

    /// Whose.
    public var schedule: ScheduleID
    /// How they are found.
    public var selection: Selection
    /// The most rows answered.
    public var limit: Int

    /// A request.
    public init(_ schedule: ScheduleID, _ selection: Selection, limit: Int = 1000) {
        self.schedule = schedule
        self.selection = selection
        self.limit = max(limit, 1)
    }
}
