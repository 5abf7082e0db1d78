// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension ScheduleRule {
    /// The rule in plain English, on a 24-hour clock: `At 09:00 on the first Monday of the month (Europe/Berlin)`.
    public func describe() -> String {
        var text =
            switch base {
            case .local(let zoned, let source): words(of: source, zoned)
            case .interval(let seconds, let anchor): words(ofInterval: seconds, anchor: anchor)
            case .once(let second): "Once, at " + WallClock.text(ofLocal: second) + " UTC"
            case .union(let rules): rules.map { $0.describe() }.joined(separator: "; and ")
            case .afterCompletion(let seconds): Self.words(ofSpan: seconds).words + " after each run ends"
            }
        if let start { text += ", from " + Self.utc(start) }
        if let end { text += ", through " + Self.utc(end) }
        if let maximumRuns { text += maximumRuns == 1 ? ", once" : ", at most \(maximumRuns) times" }
        if !bounds.excluded.isEmpty {
            text += bounds.excluded.count == 1 ? ", except on one date" : ", except on \(bounds.excluded.count) dates"
        }
        return text
    }

    /// What is allowed but perhaps not meant, a sentence each: steps that do not divide their field, two day fields, a
    /// time that a night of the zone skips, a zone that is only an offset.
    public var warnings: [String] {
        var found: [String] = []
        switch base {
        case .union(let rules): found = rules.flatMap(\.warnings)
        case .local(let zoned, let source):
            if case .cron(let cron) = source { found += cron.warnings }
            if let times = zoned.timesInUsualGap {
                found.append("\(times) does not exist on the night the clocks go forward in \(zone.identifier)")
            }
        case .interval, .once, .afterCompletion: break
        }
        let abbreviations = [
            "EST", "MST", "HST", "EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT", "CET", "MET", "EET", "WET",
        ]
        if abbreviations.contains(zone.identifier) {
            found.append("zone \(zone.identifier) is an old abbreviation; name a place, as Europe/Berlin")
        }
        return found
    }

    private func words(of source: Source, _ zoned: ZonedPattern) -> String {
        var text =
            switch source {
            case .cron(let cron): CronWords(cron).sentence
            case .calendar(let days, let times, let months): Self.words(days, times, months)
            }
        if zone.identifier != "UTC" { text += " (\(zone.identifier))" }
        guard zoned.isFixed, let gap = zone.usualGap, zoned.timesInUsualGap != nil else { return text }
        let end = WallClock.time(ofLocal: gap.upperBound)
        return text
            + (zoned.changes.gap == .move
                ? " (once, at \(end), on the night the clocks go forward)"
                : " (not on the night the clocks go forward)")
    }

    private func words(ofInterval seconds: Int64, anchor: Int64) -> String {
        let span = Self.words(ofSpan: seconds)
        let text = "Every " + (span.count == 1 ? span.unit : span.words)
        return Civil.modulo(anchor, by: seconds) == 0
            ? text : text + ", counted from " + WallClock.text(ofLocal: anchor) + " UTC"
    }

    /// A span of time in its largest whole unit: `5 minutes`.
    private static func words(ofSpan seconds: Int64) -> (count: Int64, unit: String, words: String) {
        let units: [(Int64, String)] = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")]
        let (size, name) = units.first { seconds % $0.0 == 0 } ?? (1, "second")
        let count = seconds / size
        return (count, name, "\(count) \(name)" + (count == 1 ? "" : "s"))
    }

    private static func utc(_ instant: Timestamp) -> String {
        WallClock.text(ofLocal: Civil.floor(instant.microseconds, by: 1_000_000)) + " UTC"
    }

    private static func words(_ days: DayRule, _ times: [LocalTime], _ months: [Month]) -> String {
        let clock = Set(times.compactMap(\.secondOfDay)).sorted().map(WallClock.time(ofSecond:))
        let text = "At " + Listing.words(clock) + (days == .everyDay ? " every day" : " on " + days.words)
        return months.count == 12 ? text : text + " in " + Listing.words(months.map(\.name))
    }
}

extension ZonedPattern {
    /// The first fixed time in the hours that the zone skips every spring.
    var timesInUsualGap: String? {
        guard isFixed, let gap = zone.usualGap, let first = pattern.times.next(atOrAfter: Int(gap.lowerBound)),
            Int64(first) < gap.upperBound
        else { return nil }
        return WallClock.time(ofSecond: first)
    }
}

extension DayRule {
    /// The rule as it stands after "on".
    var words: String {
        switch kind {
        case .every: "every day"
        case .days(let days):
            (days.count == 1 ? "day " : "days ") + Listing.words(days.map { "\($0.number)" }) + " of the month"
        case .clamped(let day): "day \(day.number) of the month, or its last day if it is shorter"
        case .lastDay: "the last day of the month"
        case .lastWorkday: "the last weekday of the month"
        case .nearestWorkday(let day): "the weekday nearest to day \(day.number) of the month"
        case .weekdays(let weekdays): Listing.words(weekdays.map(\.name))
        case .nth(let ordinal, let weekday):
            "the \(Listing.ordinals[ordinal.rawValue - 1]) \(weekday.name) of the month"
        case .last(let weekday): "the last \(weekday.name) of the month"
        case .either(let one, let other): one.words + " or on " + other.words
        case .both(let one, let other): one.words + " if it is " + other.conditionWords
        }
    }

    private var conditionWords: String {
        guard case .weekdays(let weekdays) = kind else { return words }
        return Listing.words(weekdays.map(\.name), joint: "or")
    }
}

/// Lists in English.
enum Listing {
    static let ordinals = ["first", "second", "third", "fourth", "fifth"]

    /// `a`, `a and b`, `a, b and c`.
    static func words(_ items: [String], joint: String = "and") -> String {
        guard items.count > 1, let last = items.last else { return items.first ?? "" }
        return items.dropLast().joined(separator: ", ") + " \(joint) " + last
    }

    /// Numbers with runs of three and more said as `a through b`.
    static func runs(_ numbers: [Int], name: (Int) -> String) -> [String] {
        var found: [String] = []
        var index = 0
        while index < numbers.count {
            var end = index
            while end + 1 < numbers.count, numbers[end + 1] == numbers[end] + 1 { end += 1 }
            if end - index >= 2 {
                found.append(name(numbers[index]) + " through " + name(numbers[end]))
            } else {
                found += numbers[index...end].map(name)
            }
            index = end + 1
        }
        return found
    }
}
