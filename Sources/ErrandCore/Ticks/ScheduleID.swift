// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The name of a schedule in its store: `[a-z0-9][a-z0-9._-]{0,127}`, so that it needs no escaping in keys, log lines
/// and addresses.
///
/// Schedules of code and those made at run time share one name space. A name is not checked when it is made, because
/// names also come from stored data; ``problem`` is checked before anything is stored.
public struct ScheduleID: Sendable, Hashable, Comparable, Codable, RawRepresentable, ExpressibleByStringLiteral {
    /// The name as stored.
    public let rawValue: String

    /// A name from any text.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// A name from any text.
    public init(_ text: String) { rawValue = text }

    public init(stringLiteral value: String) { rawValue = value }

    /// The most characters.
    public static let longest = 128

    /// What is wrong with the name, as a sentence that says what to do; `nil` when it can be stored.
    public var problem: String? {
        let shown = String(rawValue.prefix(40)).debugDescription
        guard let first = rawValue.utf8.first else { return "the id of the schedule is empty; write a name" }
        if rawValue.utf8.count > Self.longest {
            return "the schedule id \(shown)… has \(rawValue.utf8.count) characters; the limit is \(Self.longest)"
        }
        guard Self.isPlain(first), rawValue.utf8.allSatisfy({ Self.isPlain($0) || ".-_".utf8.contains($0) }) else {
            return
                "the schedule id \(shown) may hold a-z, 0-9, '.', '_' and '-' only, and begins with a letter or digit"
        }
        return nil
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte)
    }

    public static func < (lhs: ScheduleID, rhs: ScheduleID) -> Bool { lhs.rawValue < rhs.rawValue }
}

extension ScheduleID: CustomStringConvertible {
    public var description: String { rawValue }
}
