// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The stored form: one object, with the key of its kind and whatever is not the default. Instants are microseconds.
///
/// ```json
/// {"cron":"30 2 * * *","zone":"Europe/Berlin","gap":"skip","overlap":"both"}
/// {"every":300,"anchor":1767225600000000}
/// {"calendar":"lastDay","times":["17:00"],"months":[1,2],"zone":"Europe/Berlin"}
/// {"once":1767225600000000}
/// {"union":[{"cron":"0 9 * * *"},{"every":300}],"excluding":["2026-12-25"]}
/// {"afterCompletion":60,"start":1767225600000000,"end":1798761600000000,"limit":10}
/// ```
///
/// What it says is checked by ``rule(for:zones:)`` only, as with a trigger that was written in code.
extension Trigger: Codable {
    private enum Key: String, CodingKey {
        case cron, every, calendar, once, union, afterCompletion
        case anchor, times, months, zone, gap, overlap
        case start, end, limit, excluding

        static let kinds: [Key] = [.cron, .every, .calendar, .once, .union, .afterCompletion]
    }

    /// Reads the stored form. Keys that this build does not know are ignored; no kind, two kinds and unions nested
    /// more than 8 deep are an error.
    public init(from decoder: any Decoder) throws {
        try self.init(from: try decoder.container(keyedBy: Key.self), depth: 0)
    }

    private init(from container: KeyedDecodingContainer<Key>, depth: Int) throws {
        let kinds = Key.kinds.filter(container.contains)
        guard let key = kinds.first, kinds.count == 1 else {
            let known = Key.kinds.map(\.rawValue).joined(separator: ", ")
            let found = kinds.isEmpty ? "none of them" : kinds.map(\.rawValue).joined(separator: " and ")
            throw Self.error(container.codingPath, "a trigger has one of \(known); this one has \(found)")
        }
        switch key {
        case .cron:
            let text = try container.decode(String.self, forKey: key)
            let zone = try container.decodeIfPresent(String.self, forKey: .zone)
            self = .cron(text, in: zone, clockChanges: try Self.changes(in: container))
        case .calendar:
            let months = try container.decodeIfPresent([Month].self, forKey: .months)
            self = .calendar(
                try container.decode(DayRule.self, forKey: key),
                at: try container.decode([LocalTime].self, forKey: .times),
                months: months.map(Set.init) ?? Set(Month.allCases),
                in: try container.decodeIfPresent(String.self, forKey: .zone) ?? "UTC",
                clockChanges: try Self.changes(in: container)
            )
        case .once: self = .once(at: Timestamp(microseconds: try container.decode(Int64.self, forKey: key)))
        case .union:
            guard depth < Self.deepest else {
                throw Self.error(container.codingPath, "a union is nested more than \(Self.deepest) deep")
            }
            var (list, triggers) = (try container.nestedUnkeyedContainer(forKey: key), [Trigger]())
            while !list.isAtEnd {
                triggers.append(try Trigger(from: try list.nestedContainer(keyedBy: Key.self), depth: depth + 1))
            }
            self = .union(triggers)
        case .afterCompletion: self = .afterCompletion(try Self.duration(in: container, key))
        default:
            let anchor = try container.decodeIfPresent(Int64.self, forKey: .anchor)
            self = .every(try Self.duration(in: container, key), from: Timestamp(microseconds: anchor ?? 0))
        }
        start = try container.decodeIfPresent(Int64.self, forKey: .start).map(Timestamp.init(microseconds:))
        end = try container.decodeIfPresent(Int64.self, forKey: .end).map(Timestamp.init(microseconds:))
        limit = try container.decodeIfPresent(Int.self, forKey: .limit)
        excluded = Set(try container.decodeIfPresent([LocalDate].self, forKey: .excluding) ?? [])
    }

    /// Writes the stored form. Equal triggers are equal JSON if the encoder sorts keys.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        switch kind {
        case .cron(let text, let zone, let changes):
            try container.encode(text, forKey: .cron)
            try container.encodeIfPresent(zone, forKey: .zone)
            try Self.encode(changes, to: &container)
        case .interval(let interval, let anchor):
            try Self.encode(interval, .every, to: &container)
            if anchor != .epoch { try container.encode(anchor.microseconds, forKey: .anchor) }
        case .calendar(let days, let times, let months, let zone, let changes):
            try container.encode(days, forKey: .calendar)
            try container.encode(times, forKey: .times)
            if months.count != Month.allCases.count { try container.encode(months, forKey: .months) }
            if zone != "UTC" { try container.encode(zone, forKey: .zone) }
            try Self.encode(changes, to: &container)
        case .once(let instant): try container.encode(instant.microseconds, forKey: .once)
        case .union(let triggers): try container.encode(triggers, forKey: .union)
        case .afterCompletion(let delay): try Self.encode(delay, .afterCompletion, to: &container)
        }
        try container.encodeIfPresent(start?.microseconds, forKey: .start)
        try container.encodeIfPresent(end?.microseconds, forKey: .end)
        try container.encodeIfPresent(limit, forKey: .limit)
        if !excluded.isEmpty { try container.encode(excluded.sorted(), forKey: .excluding) }
    }

    private static func changes(in container: KeyedDecodingContainer<Key>) throws -> ClockChanges {
        ClockChanges(
            gap: try container.decodeIfPresent(ClockChanges.Gap.self, forKey: .gap) ?? .move,
            overlap: try container.decodeIfPresent(ClockChanges.Overlap.self, forKey: .overlap) ?? .first
        )
    }

    private static func encode(_ changes: ClockChanges, to container: inout KeyedEncodingContainer<Key>) throws {
        if changes.gap != .move { try container.encode(changes.gap, forKey: .gap) }
        if changes.overlap != .first { try container.encode(changes.overlap, forKey: .overlap) }
    }

    /// Seconds as a number, or as text with a fraction, which the check of the rule refuses.
    private static func duration(in container: KeyedDecodingContainer<Key>, _ key: Key) throws -> Duration {
        if let seconds = try? container.decode(Int64.self, forKey: key) { return .seconds(seconds) }
        let text = try container.decode(String.self, forKey: key)
        guard let duration = DurationText.duration(of: text) else {
            throw error(container.codingPath, "\(String(text.prefix(24)).debugDescription) is no number of seconds")
        }
        return duration
    }

    private static func encode(
        _ duration: Duration,
        _ key: Key,
        to container: inout KeyedEncodingContainer<Key>
    ) throws {
        let (seconds, attoseconds) = duration.bounded.components
        guard attoseconds != 0 else { return try container.encode(seconds, forKey: key) }
        try container.encode(DurationText.text(of: duration), forKey: key)
    }

    private static func error(_ path: [any CodingKey], _ message: String) -> DecodingError {
        .dataCorrupted(DecodingError.Context(codingPath: path, debugDescription: message))
    }
}
