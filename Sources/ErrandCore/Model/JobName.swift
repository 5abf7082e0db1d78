// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The stable name of a job type in the store, written out by the user.
///
/// It outlives renames of the Swift type. 1 to 200 bytes, no control characters. A name is not checked when
/// it is made, because names also come from stored data; ``problem`` is checked before anything is stored.
public struct JobName: Sendable, Hashable, Comparable, Codable, RawRepresentable, ExpressibleByStringLiteral {
    /// The name as stored.
    public let rawValue: String

    /// A name from any text.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// A name from any text.
    public init(_ text: String) { rawValue = text }

    public init(stringLiteral value: String) { rawValue = value }

    /// What is wrong with the name, as a sentence that says what to do; `nil` when it can be stored.
    public var problem: String? { NameRule.problem(with: rawValue, what: "job name") }

    public static func < (lhs: JobName, rhs: JobName) -> Bool { lhs.rawValue < rhs.rawValue }
}

extension JobName: CustomStringConvertible {
    public var description: String { rawValue }
}
