// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A date of the Gregorian calendar, without a time and without a zone. Stored as text: `2026-12-25`.
public struct LocalDate: Sendable, Hashable, Comparable {
    /// The year, 1 to 9999 for dates that rules reach.
    public var year: Int
    /// The month.
    public var month: Month
    /// The day of the month, 1 to 31; a day that the month does not have never comes.
    public var day: Int

    /// A date; one that does not exist, as 31 April, is allowed and never comes.
    public init(_ year: Int, _ month: Month, _ day: Int) {
        self.year = year
        self.month = month
        self.day = day
    }

    public static func < (lhs: LocalDate, rhs: LocalDate) -> Bool {
        (lhs.year, lhs.month.rawValue, lhs.day) < (rhs.year, rhs.month.rawValue, rhs.day)
    }
}

/// A month of the year.
public enum Month: Int, Sendable, Hashable, CaseIterable, Codable {
    /// January, `JAN` in cron.
    case january = 1
    /// February, `FEB` in cron.
    case february
    /// March, `MAR` in cron.
    case march
    /// April, `APR` in cron.
    case april
    /// May, `MAY` in cron.
    case may
    /// June, `JUN` in cron.
    case june
    /// July, `JUL` in cron.
    case july
    /// August, `AUG` in cron.
    case august
    /// September, `SEP` in cron.
    case september
    /// October, `OCT` in cron.
    case october
    /// November, `NOV` in cron.
    case november
    /// December, `DEC` in cron.
    case december

    /// The English name.
    var name: String {
        [
            "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
            "November", "December",
        ][rawValue - 1]
    }

    /// The days of the month in a leap year.
    var longestLength: Int { Civil.length(ofMonth: rawValue, year: 2000) }
}

/// A day of the week, numbered as in cron: Sunday is 0.
public enum Weekday: Int, Sendable, Hashable, CaseIterable, Codable {
    /// Sunday, `SUN` or 0 or 7 in cron.
    case sunday
    /// Monday, `MON` or 1 in cron.
    case monday
    /// Tuesday, `TUE` or 2 in cron.
    case tuesday
    /// Wednesday, `WED` or 3 in cron.
    case wednesday
    /// Thursday, `THU` or 4 in cron.
    case thursday
    /// Friday, `FRI` or 5 in cron.
    case friday
    /// Saturday, `SAT` or 6 in cron.
    case saturday

    /// The English name.
    var name: String {
        ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"][rawValue]
    }
}

/// The arithmetic of the Gregorian calendar in days since 1970-01-01, carried back to year 1 as if it had always held.
enum Civil {
    static let secondsPerDay: Int64 = 86_400

    /// The years 1 to 9999, in seconds since 1970.
    static let seconds: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

    /// The number of days from 1970-01-01 to this date; months from 1.
    static func days(year: Int, month: Int, day: Int) -> Int {
        // Counting years from March puts the leap day last, so that the days before a month follow one line.
        let marchYear = month > 2 ? year : year - 1
        let cycle = floor(marchYear, by: 400)
        let yearOfCycle = marchYear - cycle * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return cycle * 146_097 + yearOfCycle * 365 + yearOfCycle / 4 - yearOfCycle / 100 + dayOfYear - 719_468
    }

    /// The date this many days after 1970-01-01.
    static func date(ofDay days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let cycle = floor(shifted, by: 146_097)
        let dayOfCycle = shifted - cycle * 146_097
        let yearOfCycle = (dayOfCycle - dayOfCycle / 1460 + dayOfCycle / 36_524 - dayOfCycle / 146_096) / 365
        let dayOfYear = dayOfCycle - (365 * yearOfCycle + yearOfCycle / 4 - yearOfCycle / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        let year = yearOfCycle + cycle * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
    }

    /// The weekday, Sunday = 0.
    static func weekday(ofDay days: Int) -> Int { modulo(days + 4, by: 7) }

    static func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    static func length(ofMonth month: Int, year: Int) -> Int {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    static func floor<Number: BinaryInteger>(_ number: Number, by unit: Number) -> Number {
        let (quotient, remainder) = number.quotientAndRemainder(dividingBy: unit)
        return remainder < 0 ? quotient - 1 : quotient
    }

    static func modulo<Number: BinaryInteger>(_ number: Number, by unit: Number) -> Number {
        let remainder = number % unit
        return remainder < 0 ? remainder + unit : remainder
    }
}
