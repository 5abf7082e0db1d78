// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// An operator's change to stored jobs. The change and its audit row are one commit.
public struct Operation: Sendable, Hashable {
    /// What is done to each job.
    public enum Action: Sendable, Hashable {
        /// ``JobRecord/cancel(by:reason:at:)``.
        case cancel
        /// ``JobRecord/retry(after:at:)``; several jobs are spread evenly over `spread`.
        case retry(spread: Duration)
        /// ``JobRecord/edit(_:at:)``.
        case edit(JobEdit)
        /// ``JobRecord/edit(_:at:)`` and then ``JobRecord/retry(after:at:)``, both or neither.
        case editAndRetry(JobEdit)
        /// Deletes the row and all its parts; the unique key is freed unless it has a TTL.
        case delete
        /// ``JobRecord/hold(_:)`` for this long; `nil` for until released.
        case hold(lasting: Duration?)
        /// ``JobRecord/release()``.
        case release
    }

    /// Which jobs.
    public enum Selection: Sendable, Hashable {
        /// These; the order is kept.
        case ids([JobID])
        /// Those that a filter means, newest first, continuing behind a job that an earlier report named.
        case filter(JobFilter, after: JobID?)
    }

    /// What is done.
    public var action: Action
    /// To which jobs.
    public var selection: Selection
    /// Who does it; kept in the audit.
    public var actor: String
    /// Why; kept in the audit and, for a cancel, shown to the handler.
    public var reason: String
    /// The most jobs changed in this call; the report says where to go on.
    public var limit: Int
    /// Repeating an operation with the same key answers with the first report and changes nothing.
    public var idempotencyKey: String?
    /// Only say what would be done.
    public var isDryRun: Bool

    /// An operation.
    public init(
        _ action: Action,
        on selection: Selection,
        actor: String,
        reason: String,
        limit: Int = 1000,
        idempotencyKey: String? = nil,
        isDryRun: Bool = false
    ) {
        self.action = action
        self.selection = selection
        self.actor = actor
        self.reason = reason
        self.limit = max(limit, 1)
        self.idempotencyKey = idempotencyKey
        self.isDryRun = isDryRun
    }
}

/// What an operation did.
public struct OperationReport: Sendable, Hashable, Codable {
    /// Jobs that changed, or would in a dry run.
    public var changed: [JobID]
    /// Jobs that were already like that.
    public var unchanged: Int
    /// Jobs whose state did not allow it, and why; ids that are not there are among them.
    public var refused: [JobID: String]
    /// Where a filter goes on; `nil` when all of it was seen.
    public var next: JobID?

    /// A report.
    public init(changed: [JobID] = [], unchanged: Int = 0, refused: [JobID: String] = [:], next: JobID? = nil) {
        self.changed = changed
        self.unchanged = unchanged
        self.refused = refused
        self.next = next
    }
}

/// One line of the audit: who did what, when and why.
public struct AuditEntry: Sendable, Hashable, Codable {
    /// When, in store time.
    public var at: Timestamp
    /// Who.
    public var actor: String
    /// What: `cancel`, `retry`, `pause` …
    public var action: String
    /// To what, in words.
    public var target: String
    /// Why.
    public var reason: String
    /// How many jobs changed.
    public var changed: Int

    /// An entry.
    public init(at: Timestamp, actor: String, action: String, target: String, reason: String, changed: Int) {
        self.at = at
        self.actor = actor
        self.action = action
        self.target = target
        self.reason = reason
        self.changed = changed
    }
}
