// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The name of a line of jobs. 1 to 200 bytes, no control characters; ``problem`` is checked before anything
/// is stored.
public struct QueueName: Sendable, Hashable, Comparable, Codable, RawRepresentable, ExpressibleByStringLiteral {
    /// The name as stored.
    public let rawValue: String

    /// A name from any text.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// A name from any text.
    public init(_ text: String) { rawValue = text }

    public init(stringLiteral value: String) { rawValue = value }

    /// The queue of jobs that name none: `default`.
    public static let `default`: QueueName = "default"

    /// What is wrong with the name, as a sentence that says what to do; `nil` when it can be stored.
    public var problem: String? { NameRule.problem(with: rawValue, what: "queue name") }

    public static func < (lhs: QueueName, rhs: QueueName) -> Bool { lhs.rawValue < rhs.rawValue }
}

extension QueueName: CustomStringConvertible {
    public var description: String { rawValue }
}
