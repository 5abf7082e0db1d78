// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A change of one schedule: what it is afterwards, the decisions that it made and their jobs. All of it happens or
/// nothing, and only when the schedule is as its maker saw it.
public struct ScheduleChange: Sendable, Hashable {
    /// One decision with its job.
    public struct Entry: Sendable, Hashable {
        /// The row. Stored as ``TickRecord/answered(_:)`` makes it from what became of the job.
        public var row: TickRecord
        /// The job, when the decision enqueues one.
        public var job: NewJob?
        /// Whether the row takes the place of one that is kept under the same key. Otherwise an entry whose key is
        /// taken is left out, with its job.
        public var replaces: Bool

        /// An entry.
        public init(_ row: TickRecord, job: NewJob? = nil, replaces: Bool = false) {
            self.row = row
            self.job = job
            self.replaces = replaces
        }
    }

    /// Which schedule.
    public var id: ScheduleID
    /// The version that its maker saw; 0 when there must be none.
    public var expected: Int64
    /// The schedule afterwards, whose version is ``expected`` and one; `nil` to delete it. Decisions stay.
    public var record: ScheduleRecord?
    /// What was decided, in order.
    public var entries: [Entry]
    /// The line of the audit, when somebody did it.
    public var audit: AuditEntry?
    /// Whether schedulers should look at once, in this process and in others: what is due is not what they expect.
    public var wakesSchedulers: Bool

    /// A change.
    public init(
        id: ScheduleID,
        expected: Int64,
        record: ScheduleRecord?,
        entries: [Entry] = [],
        audit: AuditEntry? = nil,
        wakesSchedulers: Bool = false
    ) {
        self.id = id
        self.expected = expected
        self.record = record
        self.entries = entries
        self.audit = audit
        self.wakesSchedulers = wakesSchedulers
    }
}

/// What became of a change of a schedule.
public enum ScheduleChangeAnswer: Sendable, Hashable {
    /// It is stored. One answer for each entry: the row as it is stored, or `nil` for one whose key was taken.
    case stored([TickRecord?])
    /// The schedule is not as the change's maker saw it, or is not there; nothing was stored.
    case stale
}
