// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A field of a cron expression: its name, its numbers, its words.
enum CronField: String, Sendable, Hashable, CaseIterable {
    case second
    case minute
    case hour
    case dayOfMonth = "day-of-month"
    case month
    case dayOfWeek = "day-of-week"
    case year

    var range: ClosedRange<Int> {
        switch self {
        case .second, .minute: 0...59
        case .hour: 0...23
        case .dayOfMonth: 1...31
        case .month: 1...12
        case .dayOfWeek: 0...6
        case .year: YearSet.range
        }
    }

    /// The numbers that may be written: weekday 7 is Sunday too.
    var written: ClosedRange<Int> { self == .dayOfWeek ? 0...7 : range }

    /// What `H` chooses from: day 29 is not in every month.
    var hashed: ClosedRange<Int> { self == .dayOfMonth ? 1...28 : range }

    /// The three-letter names, in order of their numbers.
    var names: [StaticString] {
        switch self {
        case .month: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
        case .dayOfWeek: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
        default: []
        }
    }

    /// The number of a three-letter name in any case.
    func number(ofName name: some Collection<UInt8>) -> Int? {
        guard name.count == 3 else { return nil }
        let index = names.firstIndex { known in
            known.withUTF8Buffer { $0.elementsEqual(name.lazy.map { $0 & 0xDF }) }
        }
        return index.map { $0 + range.lowerBound }
    }

    var isDay: Bool { self == .dayOfMonth || self == .dayOfWeek }
}

/// One item of a field, with names read and `H` replaced by its number.
enum CronItem: Sendable, Hashable {
    /// From, to and step; `from > to` wraps around the end of the field. A single number is a range of one.
    case span(Int, Int, step: Int)
    /// This many days before the last of the month.
    case lastDay(minus: Int)
    /// The last weekday, Monday to Friday, of the month.
    case lastWorkday
    /// The weekday nearest to this day, in the month.
    case nearestWorkday(Int)
    /// The last Friday, Monday … of the month.
    case last(weekday: Int)
    /// The first to fifth Friday, Monday … of the month.
    case nth(Int, weekday: Int)
}

/// A field as parsed.
struct CronItems: Sendable, Hashable {
    var items: [CronItem]
    /// Whether the text begins with `*` or is `?`, which decides about AND and OR, and about clock changes.
    var isStarred: Bool

    /// The numbers of the spans, bit by bit from `offset`.
    func bits(of field: CronField) -> SIMD4<UInt64> {
        var bits = SIMD4<UInt64>(repeating: 0)
        let (low, high) = (field.range.lowerBound, field.range.upperBound)
        let origin = field == .year ? low : 0
        for case .span(let from, let to, let step) in items {
            if step == 1, from <= to {
                // Long lists of wide ranges are filled a word at a time.
                for word in (from - origin) / 64...(to - origin) / 64 {
                    let (first, last) = (max(from - origin - word * 64, 0), min(to - origin - word * 64, 63))
                    bits[word] |= (UInt64.max << UInt64(first)) & (UInt64.max >> UInt64(63 - last))
                }
                continue
            }
            let length = from <= to ? to - from : to - from + high - low + 1
            for distance in stride(from: 0, through: length, by: step) {
                let number = (from - low + distance) % (high - low + 1) + low
                bits[(number - origin) / 64] |= 1 << UInt64((number - origin) % 64)
            }
        }
        return bits
    }
}
