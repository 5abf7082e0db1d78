// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The words of a cron expression, made from the numbers it fires on and not from its text.
struct CronWords {
    private let cron: CronExpression
    private let seconds: [Int]
    private let minutes: [Int]
    private let hours: [Int]

    init(_ cron: CronExpression) {
        self.cron = cron
        seconds = Self.numbers(cron, .second)
        minutes = Self.numbers(cron, .minute)
        hours = Self.numbers(cron, .hour)
    }

    var sentence: String { time + days + months + years }

    private static func numbers(_ cron: CronExpression, _ field: CronField) -> [Int] {
        let bits = cron.fields[field]?.bits(of: field) ?? SIMD4(repeating: 0)
        let origin = field == .year ? field.range.lowerBound : 0
        return field.range.filter { bits[($0 - origin) / 64] >> UInt64(($0 - origin) % 64) & 1 == 1 }
    }

    /// The step when the numbers are 0, s, 2s … to the end of `size`.
    private static func step(_ numbers: [Int], size: Int, from start: Int = 0) -> Int? {
        guard numbers.count > 1, numbers[0] == start else { return nil }
        let step = numbers[1] - numbers[0]
        return numbers == Array(stride(from: start, to: start + size, by: step)) ? step : nil
    }

    private var time: String {
        if seconds.count * minutes.count * hours.count <= 6 {
            let times = hours.flatMap { hour in
                minutes.flatMap { minute in
                    seconds.map { WallClock.time(ofSecond: hour * 3600 + minute * 60 + $0) }
                }
            }
            return "At " + Listing.words(times) + (hasDays ? "" : " every day")
        }
        if seconds != [0] {
            let part = every(seconds, size: 60, name: "second")
            if minutes.count == 60 { return part + duringHours(lastMinute: 59, lastSecond: true) }
            if let step = Self.step(minutes, size: 60), 60 % step == 0 {
                return part + " of every \(ordinal(step)) minute" + duringHours(lastMinute: 59, lastSecond: false)
            }
            return part + " of minute " + Listing.words(Listing.runs(minutes) { "\($0)" })
                + duringHours(lastMinute: 59, lastSecond: false)
        }
        if minutes == [0] {
            if hours.count == 24 { return "Every hour" }
            if let step = Self.step(hours, size: 24) {
                return 24 % step == 0 ? "Every \(step) hours" : "Every \(step) hours from midnight"
            }
            return "Every hour" + duringHours(lastMinute: 0, lastSecond: false)
        }
        return every(minutes, size: 60, name: "minute") + duringHours(lastMinute: 59, lastSecond: false)
    }

    private func every(_ numbers: [Int], size: Int, name: String) -> String {
        if numbers.count == size { return "Every \(name)" }
        if let step = Self.step(numbers, size: size), numbers.count > 1 {
            let whole = name == "minute" ? "hour" : "minute"
            return size % step == 0
                ? "Every \(step) \(name)s" : "Every \(step) \(name)s from the start of each \(whole)"
        }
        let listed = Listing.words(Listing.runs(numbers) { "\($0)" })
        let whole = name == "minute" && hours.count == 24 ? " of every hour" : ""
        return "At \(name)\(numbers.count == 1 ? "" : "s") \(listed)\(whole)"
    }

    private func duringHours(lastMinute: Int, lastSecond: Bool) -> String {
        if hours.count == 24 { return "" }
        // A run may wrap around midnight: it begins after the hour that is missing before it.
        let set = Set(hours)
        let starts = hours.filter { !set.contains(($0 + 23) % 24) }
        let end = WallClock.two(lastMinute) + (lastSecond && lastMinute > 0 ? ":59" : "")
        if starts.count == 1, hours.count > 1 {
            let last = (starts[0] + hours.count - 1) % 24
            return " from \(WallClock.two(starts[0])):00 through \(WallClock.two(last)):\(end)"
        }
        if let step = Self.step(hours, size: 24), 24 % step == 0 { return " in every \(ordinal(step)) hour" }
        return (hours.count == 1 ? " in hour " : " in hours ") + Listing.words(hours.map { "\($0)" })
    }

    private func ordinal(_ number: Int) -> String {
        switch number {
        case 2, 22: "\(number)nd"
        case 3, 23: "\(number)rd"
        case 21, 31: "\(number)st"
        default: "\(number)th"
        }
    }
}

// The day part.
extension CronWords {
    private var monthItems: CronItems { cron.fields[.dayOfMonth] ?? CronItems(items: [], isStarred: true) }
    private var weekItems: CronItems { cron.fields[.dayOfWeek] ?? CronItems(items: [], isStarred: true) }
    private var isAnyMonthDay: Bool { Self.numbers(cron, .dayOfMonth).count == 31 }
    private var isAnyWeekday: Bool { Self.numbers(cron, .dayOfWeek).count == 7 }
    private var hasBoth: Bool { monthItems.isStarred || weekItems.isStarred }

    private var hasDays: Bool {
        hasBoth ? !(isAnyMonthDay && isAnyWeekday) : !(isAnyMonthDay || isAnyWeekday)
    }

    private var days: String {
        guard hasDays else { return "" }
        if hasBoth, isAnyMonthDay { return weekOnly }
        if hasBoth, isAnyWeekday { return " on " + monthWords }
        return hasBoth
            ? " on \(monthWords) if it is \(weekWords(joint: "or"))" : " on \(monthWords) or on \(weekWords())"
    }

    /// `, Monday through Friday` for a run, ` on Monday and Friday` otherwise.
    private var weekOnly: String {
        let words = weekWords()
        return words.contains("through") && !words.contains("and") ? ", " + words : " on " + words
    }

    private var monthWords: String {
        let numbers = Self.numbers(cron, .dayOfMonth)
        if let step = Self.step(numbers, size: 31, from: 1), step > 1, monthItems.items.count == 1 {
            return "every \(ordinal(step)) day of the month"
        }
        var words: [String] = []
        if !numbers.isEmpty {
            let listed = Listing.words(Listing.runs(numbers) { "\($0)" })
            words.append((numbers.count == 1 ? "day " : "days ") + listed + " of the month")
        }
        for item in monthItems.items {
            switch item {
            case .lastDay(0): words.append("the last day of the month")
            case .lastDay(1): words.append("the day before the last of the month")
            case .lastDay(let days): words.append("the day \(days) days before the last of the month")
            case .lastWorkday: words.append("the last weekday of the month")
            case .nearestWorkday(let day): words.append("the weekday nearest to day \(day) of the month")
            case .span, .last, .nth: continue
            }
        }
        return Listing.words(words)
    }

    private func weekWords(joint: String = "and") -> String {
        let name: (Int) -> String = { Weekday(rawValue: $0)?.name ?? "" }
        let numbers = Self.numbers(cron, .dayOfWeek)
        // FRI-MON is said as it is written: a run that begins after the missing day before it.
        let set = Set(numbers)
        let starts = numbers.filter { !set.contains(($0 + 6) % 7) }
        var words: [String] = []
        if starts.count == 1, numbers.count >= 3 {
            words.append(name(starts[0]) + " through " + name((starts[0] + numbers.count - 1) % 7))
        } else {
            words += numbers.map(name)
        }
        for item in weekItems.items {
            switch item {
            case .last(let weekday): words.append("the last \(name(weekday)) of the month")
            case .nth(let count, let weekday):
                words.append("the \(Listing.ordinals[count - 1]) \(name(weekday)) of the month")
            default: continue
            }
        }
        return Listing.words(words, joint: joint)
    }

    private var months: String {
        let numbers = Self.numbers(cron, .month)
        guard numbers.count < 12 else { return "" }
        return " in " + Listing.words(Listing.runs(numbers) { Month(rawValue: $0)?.name ?? "" })
    }

    private var years: String {
        guard cron.pattern.days.years != nil else { return "" }
        return " in " + Listing.words(Listing.runs(Self.numbers(cron, .year)) { "\($0)" })
    }
}

extension CronExpression {
    /// The expression in plain English, without a zone: `Every 15 minutes from 09:00 through 17:59, Monday through
    /// Friday`.
    public func describe() -> String { CronWords(self).sentence }

    /// What is allowed but perhaps not meant, a sentence each.
    public var warnings: [String] {
        var found: [String] = []
        for field in [CronField.second, .minute, .hour, .month] {
            let (low, high) = (field.range.lowerBound, field.range.upperBound)
            for case .span(let from, let to, let step) in fields[field]?.items ?? [] where step > 1 {
                let size = from <= to ? to - from + 1 : to - from + 1 + high - low + 1
                if step >= size {
                    found.append(
                        "the step \(step) of the \(field.rawValue) is wider than its range: only \(from) fires"
                    )
                } else if from == low, to == high, size % step != 0 {
                    found.append(
                        "the step \(step) of the \(field.rawValue) does not divide \(size): the last gap is short"
                    )
                }
            }
        }
        let isAny: (CronField) -> Bool = { field in
            self.fields[field]?.items == [.span(field.range.lowerBound, field.range.upperBound, step: 1)]
        }
        if !isAny(.dayOfMonth), !isAny(.dayOfWeek) {
            let isBoth = (fields[.dayOfMonth]?.isStarred ?? true) || (fields[.dayOfWeek]?.isStarred ?? true)
            found.append(
                isBoth
                    ? "both day fields are set and one begins with *: a day must meet both"
                    : "both day fields are set: a day that meets either fires"
            )
        }
        return found
    }
}
