// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension LocalDate: Codable {
    /// Reads `2026-12-25`. A day that the month does not have is read and never comes; a thirteenth month is an error.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let date = LocalDate(text: text) else {
            let message = "\(String(text.prefix(24)).debugDescription) is no date; write \"2026-12-25\""
            throw DecodingError.dataCorruptedError(in: container, debugDescription: message)
        }
        self = date
    }

    /// Writes `2026-12-25`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    /// Any year and any day has a text, so that none is lost: `-0044-03-15`.
    private var text: String {
        Self.padded(year, to: 4) + "-" + Self.padded(month.rawValue, to: 2) + "-" + Self.padded(day, to: 2)
    }

    private static func padded(_ number: Int, to width: Int) -> String {
        let digits = String(number.magnitude)
        return (number < 0 ? "-" : "") + String(repeating: "0", count: max(width - digits.count, 0)) + digits
    }

    private init?(text: String) {
        var rest = Substring(text).utf8
        guard let year = Self.number(from: &rest), rest.popFirst() == UInt8(ascii: "-"),
            let month = Self.number(from: &rest).flatMap(Month.init(rawValue:)), rest.popFirst() == UInt8(ascii: "-"),
            let day = Self.number(from: &rest), rest.isEmpty
        else { return nil }
        self.init(year, month, day)
    }

    /// The number at the start of the text: digits, with a minus before them or not.
    private static func number(from rest: inout Substring.UTF8View) -> Int? {
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative { rest.removeFirst() }
        let digits = rest.prefix { (0x30...0x39).contains($0) }
        rest = rest.dropFirst(digits.count)
        return digits.isEmpty ? nil : Int((isNegative ? "-" : "") + String(decoding: digits, as: UTF8.self))
    }
}
