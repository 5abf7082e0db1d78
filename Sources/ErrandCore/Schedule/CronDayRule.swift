// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The two day fields of a cron expression, joined by Debian's rule.
struct CronDayRule {
    private let hasBoth: Bool
    /// Bit by bit: days, days before the last, days whose nearest workday is meant.
    private var monthDays: UInt64
    private var fromLast: UInt64 = 0
    private var nearest: UInt64 = 0
    private var lastWorkday = false
    /// Bit by bit: weekdays, last ones of the month, and (count - 1) × 7 + weekday.
    private var weekdays: UInt64
    private var lastWeekdays: UInt64 = 0
    private var nthWeekdays: UInt64 = 0

    init(monthDays: CronItems, weekdays: CronItems) {
        self.monthDays = monthDays.bits(of: .dayOfMonth)[0]
        self.weekdays = weekdays.bits(of: .dayOfWeek)[0]
        hasBoth = monthDays.isStarred || weekdays.isStarred
        for item in monthDays.items + weekdays.items {
            switch item {
            case .span: break
            case .lastDay(let days): fromLast |= 1 << UInt64(days)
            case .lastWorkday: lastWorkday = true
            case .nearestWorkday(let day): nearest |= 1 << UInt64(day)
            case .last(let weekday): lastWeekdays |= 1 << UInt64(weekday)
            case .nth(let count, let weekday): nthWeekdays |= 1 << UInt64((count - 1) * 7 + weekday)
            }
        }
    }

    func fires(day: Int, weekday: Int, length: Int) -> Bool {
        let month =
            monthDays >> UInt64(day) & 1 == 1 || fromLast >> UInt64(length - day) & 1 == 1
            || lastWorkday && Workday.isLast(day, weekday, length)
            || nearest != 0 && isNearest(day, weekday, length)
        let week =
            weekdays >> UInt64(weekday) & 1 == 1
            || lastWeekdays >> UInt64(weekday) & 1 == 1 && day + 7 > length
            || nthWeekdays >> UInt64((day - 1) / 7 * 7 + weekday) & 1 == 1
        return hasBoth ? month && week : month || week
    }

    private func isNearest(_ day: Int, _ weekday: Int, _ length: Int) -> Bool {
        (max(day - 2, 1)...min(day + 2, length))
            .contains {
                nearest >> UInt64($0) & 1 == 1 && Workday.isNearest(day, weekday, length, to: $0)
            }
    }
}

/// Monday to Friday, seen from a day, its weekday and the length of its month.
enum Workday {
    static func isLast(_ day: Int, _ weekday: Int, _ length: Int) -> Bool {
        guard (1...5).contains(weekday) else { return false }
        return day == length || weekday == 5 && day + 2 >= length
    }

    /// Whether this day is the one nearest to `wanted` without leaving the month.
    static func isNearest(_ day: Int, _ weekday: Int, _ length: Int, to wanted: Int) -> Bool {
        guard (1...5).contains(weekday), wanted <= length else { return false }
        switch wanted - day {
        case 0: return true
        // The wanted day is the Saturday after this Friday, or the Sunday before this Monday.
        case 1: return weekday == 5
        case -1: return weekday == 1
        // A month that begins on Saturday or ends on Sunday: the nearest would be in another month.
        case -2: return weekday == 1 && wanted == 1
        case 2: return weekday == 5 && wanted == length
        default: return false
        }
    }
}
