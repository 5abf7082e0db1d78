// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Which days a calendar rule fires on, in words instead of fields.
///
/// ```swift
/// let paydays: DayRule = .both(.lastWeekday, .weekdays([.monday, .friday]))
/// ```
public struct DayRule: Sendable, Hashable {
    indirect enum Kind: Sendable, Hashable {
        case every
        case days([DayOfMonth])
        case clamped(DayOfMonth)
        case lastDay
        case lastWorkday
        case nearestWorkday(DayOfMonth)
        case weekdays([Weekday])
        case nth(Ordinal, Weekday)
        case last(Weekday)
        case either(DayRule, DayRule)
        case both(DayRule, DayRule)
    }

    let kind: Kind

    /// Which of its kind in the month. A month without a fifth has no such day.
    public enum Ordinal: Int, Sendable, Hashable, CaseIterable {
        /// The first, days 1 to 7.
        case first = 1
        /// The second, days 8 to 14.
        case second
        /// The third, days 15 to 21.
        case third
        /// The fourth, days 22 to 28.
        case fourth
        /// The fifth, days 29 to 31.
        case fifth
    }

    /// Every day.
    public static let everyDay = DayRule(kind: .every)

    /// The last day of the month.
    public static let lastDay = DayRule(kind: .lastDay)

    /// The last Monday to Friday of the month.
    public static let lastWeekday = DayRule(kind: .lastWorkday)

    /// These days of the month; a month that lacks one skips it.
    public static func days(_ days: [DayOfMonth]) -> DayRule { DayRule(kind: .days(days)) }

    /// This day of the month, or the last day of a month that lacks it.
    public static func clamped(_ day: DayOfMonth) -> DayRule { DayRule(kind: .clamped(day)) }

    /// The Monday to Friday nearest to this day, in the same month; a month that lacks the day skips it.
    public static func nearestWeekday(to day: DayOfMonth) -> DayRule { DayRule(kind: .nearestWorkday(day)) }

    /// These days of the week.
    public static func weekdays(_ weekdays: Set<Weekday>) -> DayRule {
        DayRule(kind: .weekdays(weekdays.sorted { $0.rawValue < $1.rawValue }))
    }

    /// The first to fifth such weekday of the month.
    public static func nth(_ ordinal: Ordinal, _ weekday: Weekday) -> DayRule { DayRule(kind: .nth(ordinal, weekday)) }

    /// The last such weekday of the month.
    public static func last(_ weekday: Weekday) -> DayRule { DayRule(kind: .last(weekday)) }

    /// Days of one or the other.
    public static func either(_ one: DayRule, _ other: DayRule) -> DayRule { DayRule(kind: .either(one, other)) }

    /// Days of both.
    public static func both(_ one: DayRule, _ other: DayRule) -> DayRule { DayRule(kind: .both(one, other)) }

    func fires(day: Int, weekday: Int, length: Int) -> Bool {
        switch kind {
        case .every: true
        case .days(let days): days.contains { $0.number == day }
        case .clamped(let wanted): day == min(wanted.number, length)
        case .lastDay: day == length
        case .lastWorkday: Workday.isLast(day, weekday, length)
        case .nearestWorkday(let wanted): Workday.isNearest(day, weekday, length, to: wanted.number)
        case .weekdays(let weekdays): weekdays.contains { $0.rawValue == weekday }
        case .nth(let ordinal, let wanted): wanted.rawValue == weekday && (day + 6) / 7 == ordinal.rawValue
        case .last(let wanted): wanted.rawValue == weekday && day + 7 > length
        case .either(let one, let other):
            one.fires(day: day, weekday: weekday, length: length)
                || other.fires(day: day, weekday: weekday, length: length)
        case .both(let one, let other):
            one.fires(day: day, weekday: weekday, length: length)
                && other.fires(day: day, weekday: weekday, length: length)
        }
    }

    /// How deep rules of rules may go, so that whatever is checked can be stored and read again.
    static let deepest = 16

    /// The first day that is out of range, or that the rule is nested too deep.
    var problem: String? { problem(depth: 0) }

    private func problem(depth: Int) -> String? {
        switch kind {
        case .days(let days):
            return days.isEmpty ? "the list of days is empty" : days.lazy.compactMap(\.problem).first
        case .clamped(let day), .nearestWorkday(let day): return day.problem
        case .weekdays(let weekdays): return weekdays.isEmpty ? "the set of weekdays is empty" : nil
        case .either(let one, let other), .both(let one, let other):
            guard depth < Self.deepest else { return "a day rule is nested more than \(Self.deepest) deep" }
            return one.problem(depth: depth + 1) ?? other.problem(depth: depth + 1)
        default: return nil
        }
    }
}

/// A day of the month, 1 to 31. Another number is reported when the rule is checked, never a trap.
public struct DayOfMonth: Sendable, Hashable, ExpressibleByIntegerLiteral {
    /// The number.
    public let number: Int

    /// A day.
    public init(_ number: Int) { self.number = number }

    public init(integerLiteral value: Int) { number = value }

    var problem: String? { (1...31).contains(number) ? nil : "day \(number) is outside 1-31" }
}
