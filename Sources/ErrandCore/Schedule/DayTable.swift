// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The dates of a rule, as tables of bits: a month of given length and first weekday always has the same days.
struct DayTable: Sendable, Hashable {
    /// For each length from 28 and each weekday of the first: bit d is set when day d fires. 4 × 7 entries.
    let days: [UInt32]
    /// Bit m is set when month m fires.
    let months: UInt32
    /// The years that fire; `nil` for every year.
    let years: YearSet?

    init(months: UInt32, years: YearSet?, fires: (_ day: Int, _ weekday: Int, _ length: Int) -> Bool) {
        var days: [UInt32] = []
        days.reserveCapacity(28)
        for length in 28...31 {
            for first in 0..<7 {
                var mask: UInt32 = 0
                for day in 1...length where fires(day, (first + day - 1) % 7, length) { mask |= 1 << UInt32(day) }
                days.append(mask)
            }
        }
        self.days = days
        self.months = months
        self.years = years
    }

    func mask(year: Int, month: Int) -> UInt32 {
        let first = Civil.weekday(ofDay: Civil.days(year: year, month: month, day: 1))
        return days[(Civil.length(ofMonth: month, year: year) - 28) * 7 + first]
    }

    func contains(day: Int) -> Bool {
        let date = Civil.date(ofDay: day)
        guard months >> UInt32(date.month) & 1 == 1, years?.contains(date.year) ?? true else { return false }
        return mask(year: date.year, month: date.month) >> UInt32(date.day) & 1 == 1
    }

    /// The first day from this one on, in days since 1970; `nil` when 400 years, or the listed ones, have none.
    func next(atOrAfter day: Int) -> Int? {
        var (year, month, from) = Civil.date(ofDay: day)
        if let years {
            // The years before the first listed one are not part of the search.
            guard let listed = years.first(atOrAfter: year) else { return nil }
            if listed != year { (year, month, from) = (listed, 1, 1) }
        }
        let last = min(year + 400, 9999)
        while year <= last {
            if let years {
                guard let listed = years.first(atOrAfter: year) else { return nil }
                if listed != year { (year, month, from) = (listed, 1, 1) }
            }
            while month <= 12 {
                let later = months >> UInt32(month)
                guard later != 0 else { break }
                let skipped = later.trailingZeroBitCount
                if skipped > 0 { (month, from) = (month + skipped, 1) }
                let left = mask(year: year, month: month) >> UInt32(from)
                if left != 0 {
                    return Civil.days(year: year, month: month, day: from + left.trailingZeroBitCount)
                }
                (month, from) = (month + 1, 1)
            }
            (year, month, from) = (year + 1, 1, 1)
        }
        return nil
    }

    /// Whether any date fires at all. The calendar repeats after 400 years, and by then has used all 14 kinds of year.
    var isSatisfiable: Bool {
        let kinds = Array(2000...2027)
        return (years.map(\.all) ?? kinds)
            .contains { year in
                (1...12).contains { months >> UInt32($0) & 1 == 1 && mask(year: year, month: $0) != 0 }
            }
    }
}

/// A set of years from 1970 through 2225, one bit each.
struct YearSet: Sendable, Hashable {
    static let range = 1970...2199
    var bits: SIMD4<UInt64>

    func contains(_ year: Int) -> Bool {
        guard Self.range.contains(year) else { return false }
        let index = year - Self.range.lowerBound
        return bits[index / 64] >> UInt64(index % 64) & 1 == 1
    }

    func first(atOrAfter year: Int) -> Int? {
        var index = max(year - Self.range.lowerBound, 0)
        while index < 256 {
            let word = bits[index / 64] >> UInt64(index % 64)
            if word != 0 { return Self.range.lowerBound + index + word.trailingZeroBitCount }
            index = (index / 64 + 1) * 64
        }
        return nil
    }

    var all: [Int] { Self.range.filter(contains) }
}
