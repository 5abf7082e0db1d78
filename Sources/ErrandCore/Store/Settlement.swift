// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How one attempt ended, with the right to say so. Applied all or nothing.
public struct Settlement: Sendable, Hashable {
    /// The right to write.
    public var lease: Lease
    /// How it ended.
    public var outcome: Outcome
    /// Jobs that are stored exactly if the settlement holds. When one of them is refused, the settlement is; a
    /// duplicate is no refusal.
    public var followUps: [NewJob]

    /// A settlement.
    public init(lease: Lease, outcome: Outcome, followUps: [NewJob] = []) {
        self.lease = lease
        self.outcome = outcome
        self.followUps = followUps
    }
}

/// What became of one settlement.
public enum SettleAnswer: Sendable, Hashable {
    /// It held; the job is now in this state.
    case applied(JobState)
    /// The lease is old: somebody else holds the job, or it is no longer running, or it is gone. Nothing was
    /// written. This is also the answer to a repeat of a settlement that held, so a caller that repeats after
    /// an unknown outcome treats it as done.
    case leaseLost
    /// It cannot be written as it is, and why: a follow-up is refused, or the job's row cannot be read. Nothing was
    /// written and the lease holds; the other settlements of the same call are not affected.
    case refused(StoreError)
}

/// Something a running job wants written while it runs; fenced like a settlement.
public struct LeaseNote: Sendable, Hashable {
    /// The right to write.
    public var lease: Lease
    /// The newest progress: fraction and words.
    public var progress: (fraction: Double, message: String)? {
        get { fraction.map { ($0, message) } }
        set { (fraction, message) = (newValue?.fraction, newValue?.message ?? "") }
    }
    private var fraction: Double?
    private var message = ""
    /// Lines to add to the job's log.
    public var lines: [LogLine]
    /// Values of checkpoints that were finished, by name.
    public var checkpoints: [String: Payload]

    /// A note; empty until fields are set.
    public init(
        lease: Lease,
        progress: (fraction: Double, message: String)? = nil,
        lines: [LogLine] = [],
        checkpoints: [String: Payload] = [:]
    ) {
        self.lease = lease
        self.lines = lines
        self.checkpoints = checkpoints
        self.progress = progress
    }
}
