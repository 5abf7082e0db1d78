// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What counts as the same job of one type: a rule with a key made from the payload.
///
/// ```swift
/// static let unique: Uniqueness<Self>? = .by(\.customerID)
/// ```
public struct Uniqueness<J: Job>: Sendable {
    /// How long the key is taken.
    public var scope: UniqueRule.Scope
    /// What an enqueue does when it is.
    public var conflict: UniqueRule.Conflict
    private let key: @Sendable (J) throws -> String

    private init(
        scope: UniqueRule.Scope,
        conflict: UniqueRule.Conflict,
        key: @escaping @Sendable (J) throws -> String
    ) {
        self.scope = scope
        self.conflict = conflict
        self.key = key
    }

    /// Two jobs are the same when all fields of their payloads are: the key is the payload as JSON with sorted
    /// names. It must fit in ``/ErrandCore/UniqueRule/longestKey`` bytes; give a key of your own for larger payloads.
    public static func payload(
        scope: UniqueRule.Scope = .untilDone,
        conflict: UniqueRule.Conflict = .returnExisting
    ) -> Uniqueness {
        Uniqueness(scope: scope, conflict: conflict) { String(decoding: try PayloadCoder.canonical($0), as: UTF8.self) }
    }

    /// Two jobs are the same when this closure, usually a key path, gives the same text for them.
    public static func by<Key: CustomStringConvertible & SendableMetatype>(
        scope: UniqueRule.Scope = .untilDone,
        conflict: UniqueRule.Conflict = .returnExisting,
        _ key: @escaping @Sendable (J) -> Key
    ) -> Uniqueness {
        Uniqueness(scope: scope, conflict: conflict) { key($0).description }
    }

    /// The rule for one job. The key starts with the job's name, so types cannot collide.
    func rule(for job: J) throws -> UniqueRule {
        UniqueRule(key: "\(J.name):\(try key(job))", scope: scope, conflict: conflict)
    }
}
