// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The stored form, which people read too: a word, or an object with one key.
///
/// ```json
/// "everyDay"
/// "lastDay"
/// "lastWeekday"
/// {"days":[1,15]}
/// {"clamped":31}
/// {"nearestWeekday":15}
/// {"weekdays":["monday","friday"]}
/// {"nth":[2,"tuesday"]}
/// {"last":"friday"}
/// {"either":["lastDay",{"days":[15]}]}
/// {"both":["lastWeekday",{"weekdays":["monday"]}]}
/// ```
extension DayRule: Codable {
    private enum Word: String, Codable { case everyDay, lastDay, lastWeekday }

    private enum Key: String, CodingKey, CaseIterable {
        case days, clamped, nearestWeekday, weekdays, nth, last, either, both
    }

    /// Reads the stored form. A day that does not exist is read, and reported when the rule is checked; rules nested
    /// more than 16 deep are an error.
    public init(from decoder: any Decoder) throws { try self.init(from: decoder, depth: 0) }

    private init(from decoder: any Decoder, depth: Int) throws {
        if let word = try? decoder.singleValueContainer().decode(String.self) {
            switch Word(rawValue: word) {
            case .everyDay: self = .everyDay
            case .lastDay: self = .lastDay
            case .lastWeekday: self = .lastWeekday
            case nil: throw Self.error(decoder.codingPath, "\(String(word.prefix(24)).debugDescription) is no day rule")
            }
            return
        }
        let container = try decoder.container(keyedBy: Key.self)
        guard let key = container.allKeys.first, container.allKeys.count == 1 else {
            let keys = Key.allCases.map(\.rawValue).joined(separator: ", ")
            throw Self.error(decoder.codingPath, "a day rule is a word or has one of \(keys)")
        }
        switch key {
        case .days: self = .days(try container.decode([Int].self, forKey: key).map(DayOfMonth.init(_:)))
        case .clamped: self = .clamped(DayOfMonth(try container.decode(Int.self, forKey: key)))
        case .nearestWeekday: self = .nearestWeekday(to: DayOfMonth(try container.decode(Int.self, forKey: key)))
        case .weekdays:
            let names = try container.decode([String].self, forKey: key)
            self = .weekdays(Set(try names.map { try Self.weekday(named: $0, in: container.codingPath) }))
        case .nth:
            var list = try container.nestedUnkeyedContainer(forKey: key)
            guard let ordinal = Ordinal(rawValue: try list.decode(Int.self)) else {
                throw Self.error(list.codingPath, "a month has at most five such days; write 1 to 5")
            }
            self = .nth(ordinal, try Self.weekday(named: try list.decode(String.self), in: list.codingPath))
        case .last:
            self = .last(
                try Self.weekday(named: try container.decode(String.self, forKey: key), in: container.codingPath)
            )
        case .either, .both:
            guard depth < Self.deepest else {
                throw Self.error(container.codingPath, "a day rule is nested more than \(Self.deepest) deep")
            }
            var list = try container.nestedUnkeyedContainer(forKey: key)
            let one = try DayRule(from: try list.superDecoder(), depth: depth + 1)
            let other = try DayRule(from: try list.superDecoder(), depth: depth + 1)
            guard list.isAtEnd else { throw Self.error(list.codingPath, "\(key.rawValue) joins two day rules") }
            self = key == .either ? .either(one, other) : .both(one, other)
        }
    }

    /// Writes the stored form.
    public func encode(to encoder: any Encoder) throws {
        switch kind {
        case .every: try Self.encode(.everyDay, to: encoder)
        case .lastDay: try Self.encode(.lastDay, to: encoder)
        case .lastWorkday: try Self.encode(.lastWeekday, to: encoder)
        case .days(let days): try Self.encode(days.map(\.number), .days, to: encoder)
        case .clamped(let day): try Self.encode(day.number, .clamped, to: encoder)
        case .nearestWorkday(let day): try Self.encode(day.number, .nearestWeekday, to: encoder)
        case .weekdays(let weekdays): try Self.encode(weekdays.map { $0.name.lowercased() }, .weekdays, to: encoder)
        case .last(let weekday): try Self.encode(weekday.name.lowercased(), .last, to: encoder)
        case .either(let one, let other): try Self.encode([one, other], .either, to: encoder)
        case .both(let one, let other): try Self.encode([one, other], .both, to: encoder)
        case .nth(let ordinal, let weekday):
            var container = encoder.container(keyedBy: Key.self)
            var list = container.nestedUnkeyedContainer(forKey: .nth)
            try list.encode(ordinal.rawValue)
            try list.encode(weekday.name.lowercased())
        }
    }

    private static func encode(_ word: Word, to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(word)
    }

    private static func encode(_ value: some Encodable, _ key: Key, to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(value, forKey: key)
    }

    private static func weekday(named name: String, in path: [any CodingKey]) throws -> Weekday {
        guard let weekday = Weekday.allCases.first(where: { $0.name.lowercased() == name.lowercased() }) else {
            throw error(path, "\(String(name.prefix(24)).debugDescription) is no weekday; write \"monday\"")
        }
        return weekday
    }

    private static func error(_ path: [any CodingKey], _ message: String) -> DecodingError {
        .dataCorrupted(DecodingError.Context(codingPath: path, debugDescription: message))
    }
}
