// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A time on a wall clock: `"17:00"`, `"06:30:15"`.
///
/// A literal that is no time is reported when the rule is checked, never a trap, because times also come from forms.
public struct LocalTime: Sendable, Hashable, Comparable, Codable, ExpressibleByStringLiteral {
    /// Seconds since midnight; `nil` when the text is no time of day.
    public let secondOfDay: Int?
    private let text: String

    /// The time of a text: hours and minutes, and seconds if need be, of two digits each, on a clock of 24 hours.
    public init(_ text: String) {
        self.text = text
        secondOfDay = Self.parse(text)
    }

    public init(stringLiteral value: String) { self.init(value) }

    /// Reads the text as it was written; one that is no time is reported when the rule is checked.
    public init(from decoder: any Decoder) throws { self.init(try decoder.singleValueContainer().decode(String.self)) }

    /// Writes the text as it was given.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    var problem: String? {
        secondOfDay == nil ? "\(String(text.prefix(24)).debugDescription) is no time; write \"17:00\"" : nil
    }

    public static func < (lhs: LocalTime, rhs: LocalTime) -> Bool {
        (lhs.secondOfDay ?? .max) < (rhs.secondOfDay ?? .max)
    }

    private static func parse(_ text: String) -> Int? {
        let parts = text.utf8.split(separator: UInt8(ascii: ":"), maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3 else { return nil }
        var total = 0
        for (part, limit) in zip(parts, [24, 60, 60]) {
            guard part.count == 2, part.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            let number = part.reduce(0) { $0 * 10 + Int($1 - 0x30) }
            guard number < limit else { return nil }
            total = total * 60 + number
        }
        return parts.count == 2 ? total * 60 : total
    }
}
