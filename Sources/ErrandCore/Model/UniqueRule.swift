// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What counts as the same job, for how long, and what to do when it is already there.
///
/// Uniqueness is about enqueueing, not about running one at a time. It is enforced by a unique index or one
/// atomic act of the store, never by looking first.
public struct UniqueRule: Sendable, Hashable, Codable {
    /// How long the key is taken.
    public enum Scope: Sendable, Hashable, Codable {
        /// Until the job is claimed for the first time, or is final.
        case untilStart
        /// Until the job is final; the default.
        case untilDone
        /// For this long after the enqueue, whatever becomes of the job; an idempotency key. Pruning the job
        /// does not free it.
        case forTTL(Duration)

        /// How long the key is kept; `nil` when its job keeps it.
        package var ttl: Duration? {
            if case .forTTL(let ttl) = self { ttl } else { nil }
        }
    }

    /// What an enqueue does when the key is taken. In every case but ``throwError`` the more urgent priority
    /// and the earlier run time of the two win, as long as the job that is there has not started.
    public enum Conflict: Sendable, Hashable, Codable {
        /// Answer with the job that is there; the default.
        case returnExisting
        /// Give the pending job these fields of the new one; a running job is left alone and answered.
        case replacePending(ReplaceableFields)
        /// While the job runs, keep one follow-up with the newest payload: at least one run starts after the
        /// last enqueue. A pending job gets the newest payload instead.
        case runAgainAfter
        /// Refuse with ``StoreError/Code/conflict``.
        case throwError
    }

    /// The key, 1 to 1,024 bytes; two jobs with the same key are the same. By convention it starts with the
    /// job name.
    public var key: String
    /// How long the key is taken.
    public var scope: Scope
    /// What happens when it is.
    public var conflict: Conflict

    /// A rule.
    public init(key: String, scope: Scope = .untilDone, conflict: Conflict = .returnExisting) {
        self.key = key
        self.scope = scope
        self.conflict = conflict
    }

    /// The most bytes of a key.
    public static let longestKey = 1024
}

/// The fields that ``UniqueRule/Conflict/replacePending(_:)`` takes from the newer job.
public struct ReplaceableFields: OptionSet, Sendable, Hashable, Codable {
    public let rawValue: Int

    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The payload.
    public static let payload = ReplaceableFields(rawValue: 1)
    /// When it runs, even if that is later than before.
    public static let runAt = ReplaceableFields(rawValue: 2)
    /// The priority, even if it is lower than before.
    public static let priority = ReplaceableFields(rawValue: 4)
    /// Tags and headers.
    public static let labels = ReplaceableFields(rawValue: 8)
    /// Everything above.
    public static let all: ReplaceableFields = [.payload, .runAt, .priority, .labels]
}
