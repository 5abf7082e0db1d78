// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting

/// A cron rule as plain sets, with the text that means the same: nothing here knows how `ErrandCore` reads either.
struct WalkedRule: Sendable {
    var text: String
    var seconds: [Bool]
    var minutes: [Bool]
    var hours: [Bool]
    /// Whether a date fires, from year, month, day and the weekday with Sunday 0.
    var fires: @Sendable (_ year: Int, _ month: Int, _ day: Int) -> Bool
    var isFixed: Bool

    /// A random rule; `seconds` adds a field for them.
    static func random(withSeconds: Bool, using generator: inout SeededGenerator) -> WalkedRule {
        let second = withSeconds ? field(60, from: 0, using: &generator) : ("", set(60, [0]))
        let minute = field(60, from: 0, using: &generator)
        // The hours around midnight and the usual changes come more often than chance would have it.
        let hour =
            Int.random(in: 0..<3, using: &generator) == 0
            ? night(using: &generator) : field(24, from: 0, using: &generator)
        let dates = dates(using: &generator)
        let texts = (withSeconds ? [second.0] : []) + [minute.0, hour.0, dates.text]
        let starred = [second.0, minute.0, hour.0].contains { $0.hasPrefix("*") }
        return WalkedRule(
            text: texts.joined(separator: " "),
            seconds: second.1,
            minutes: minute.1,
            hours: hour.1,
            fires: dates.fires,
            isFixed: !starred
        )
    }

    private static func set(_ size: Int, _ numbers: [Int]) -> [Bool] { (0..<size).map(numbers.contains) }

    private static func night(using generator: inout SeededGenerator) -> (String, [Bool]) {
        let choices: [(String, [Int])] = [
            ("0", [0]), ("1", [1]), ("2", [2]), ("3", [3]), ("23", [23]), ("1-3", [1, 2, 3]), ("22-1", [22, 23, 0, 1]),
            ("*/2", Array(stride(from: 0, to: 24, by: 2))), ("2,14", [2, 14]),
            ("0/3", Array(stride(from: 0, to: 24, by: 3))),
        ]
        let choice = choices[Int.random(in: 0..<choices.count, using: &generator)]
        return (choice.0, set(24, choice.1))
    }

    private static func field(_ size: Int, from low: Int, using generator: inout SeededGenerator) -> (String, [Bool]) {
        let top = low + size
        let (a, b) = (Int.random(in: low..<top, using: &generator), Int.random(in: low..<top, using: &generator))
        let step = Int.random(in: 1...(size / 2), using: &generator)
        func around(_ from: Int, _ to: Int, _ step: Int) -> [Int] {
            let whole = Array(from..<top) + Array(low..<from)
            let end = whole.firstIndex(of: to) ?? 0
            return whole.indices.filter { $0 <= end && $0 % step == 0 }.map { whole[$0] }
        }
        let all = [Bool](repeating: false, count: low) + [Bool](repeating: true, count: size)
        func pad(_ numbers: [Int]) -> [Bool] { (0..<top).map(numbers.contains) }
        switch Int.random(in: 0..<8, using: &generator) {
        case 0, 1: return ("*", all)
        case 2: return ("*/\(step)", pad(Array(stride(from: low, to: top, by: step))))
        case 3: return ("\(a)", pad([a]))
        case 4: return ("\(a),\(b)", pad([a, b]))
        case 5: return ("\(a)-\(b)", pad(around(a, b, 1)))
        case 6: return ("\(a)-\(b)/\(step),\(b)", pad(around(a, b, step) + [b]))
        default: return ("\(a)/\(step)", pad(Array(stride(from: a, to: top, by: step))))
        }
    }

    private typealias DayTest = @Sendable (_ year: Int, _ month: Int, _ day: Int) -> Bool

    private static func dates(using generator: inout SeededGenerator) -> (text: String, fires: DayTest) {
        // Most rules fire on most days, or a night of clock changes would seldom be met.
        let month = Int.random(in: 0..<4, using: &generator) == 0 ? field(12, from: 1, using: &generator) : ("*", [])
        let monthDay = dayOfMonth(using: &generator)
        let weekday = dayOfWeek(using: &generator)
        let both = monthDay.text.hasPrefix("*") || weekday.text.hasPrefix("*") || monthDay.text == "?"
        let months = month.1
        return (
            "\(monthDay.text) \(month.0) \(weekday.text)",
            { year, month, day in
                guard months.isEmpty || months[month] else { return false }
                let (one, other) = (monthDay.fires(year, month, day), weekday.fires(year, month, day))
                return both ? one && other : one || other
            }
        )
    }

    private static func dayOfMonth(using generator: inout SeededGenerator) -> (text: String, fires: DayTest) {
        let number = Int.random(in: 1...28, using: &generator)
        switch Int.random(in: 0..<16, using: &generator) {
        case 0: return ("L", { $2 == WalkedDate.length($0, $1) })
        case 1: return ("L-\(number % 7)", { $2 == WalkedDate.length($0, $1) - number % 7 })
        case 2:
            return ("LW", { WalkedDate.nearestWorkday($0, $1, to: WalkedDate.length($0, $1), onlyBefore: true) == $2 })
        case 3: return ("\(number)W", { WalkedDate.nearestWorkday($0, $1, to: number, onlyBefore: false) == $2 })
        case 4: return ("\(number)", { $2 == number })
        case 5, 6:
            let (text, set) = field(31, from: 1, using: &generator)
            // Day 31 alone in months of 30 may leave nothing, which is refused and not of interest here.
            return (text + ",1", { set[$2] || $2 == 1 })
        case 7: return ("?", { _, _, _ in true })
        default: return ("*", { _, _, _ in true })
        }
    }

    private static func dayOfWeek(using generator: inout SeededGenerator) -> (text: String, fires: DayTest) {
        let day = Int.random(in: 0...6, using: &generator)
        let name = ["SUN", "mon", "Tue", "WED", "thu", "FRI", "SAT"][day]
        switch Int.random(in: 0..<12, using: &generator) {
        case 0: return (name, { WalkedDate.weekday($0, $1, $2) == day })
        case 1: return ("\(name)L", { WalkedDate.weekday($0, $1, $2) == day && $2 > WalkedDate.length($0, $1) - 7 })
        case 2: return ("\(day)#2", { WalkedDate.weekday($0, $1, $2) == day && (8...14).contains($2) })
        case 3: return ("SAT-SUN", { [6, 0].contains(WalkedDate.weekday($0, $1, $2)) })
        case 4: return ("\(day),7", { [day, 0].contains(WalkedDate.weekday($0, $1, $2)) })
        default: return ("*", { _, _, _ in true })
        }
    }
}

/// A calendar that counts, day after day, from Thursday, 1 January 1970.
enum WalkedDate {
    static func length(_ year: Int, _ month: Int) -> Int {
        let leap = year % 400 == 0 || (year % 4 == 0 && year % 100 != 0)
        return [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
    }

    static func weekday(_ year: Int, _ month: Int, _ day: Int) -> Int {
        // Sakamoto's table of month offsets.
        let shift = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4][month - 1]
        let year = month < 3 ? year - 1 : year
        return (year + year / 4 - year / 100 + year / 400 + shift + day) % 7
    }

    /// Of all days of the month that are Monday to Friday, the one with the least distance.
    static func nearestWorkday(_ year: Int, _ month: Int, to day: Int, onlyBefore: Bool) -> Int {
        guard day <= length(year, month) else { return 0 }
        let days = (1...length(year, month))
            .filter {
                (1...5).contains(weekday(year, month, $0)) && (!onlyBefore || $0 <= day)
            }
        return days.min { abs($0 - day) < abs($1 - day) } ?? 0
    }

    /// Year, month and day of a day counted from 1970, found by counting years and months.
    static func date(ofDay days: Int) -> (Int, Int, Int) {
        var (year, left) = (1970, days)
        while left < 0 {
            year -= 1
            left += length(year, 2) + 337
        }
        while left >= length(year, 2) + 337 {
            left -= length(year, 2) + 337
            year += 1
        }
        var month = 1
        while left >= length(year, month) {
            left -= length(year, month)
            month += 1
        }
        return (year, month, left + 1)
    }
}
