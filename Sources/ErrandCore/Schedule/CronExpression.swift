// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A cron expression: the wall-clock times at which a schedule fires.
///
/// Five fields, `minute hour day-of-month month day-of-week`; six have a second first; seven have a year, 1970 to
/// 2199, last. Items are `*`, `n`, `a-b`, `*/s`, `a-b/s`, `n/s` (from n on), and lists of them. Names have three letters
/// in any case. Weekday 0 and 7 are Sunday. Ranges may wrap (`FRI-MON`, `22-2`). `?` is `*` in the day fields.
///
/// Day of month: `L` (last), `L-2`, `LW` (last Monday to Friday), `15W` (the one nearest to the 15th). Day of week:
/// `FRIL` or `5L` (last Friday), `5#3` (third Friday). `H`, `H/15`, `H(0-29)`, `H(0-29)/10` choose by the schedule's
/// id, always alike. Macros: `@yearly @annually @monthly @weekly @daily @midnight @hourly`. `CRON_TZ=Europe/Berlin` may
/// stand before the fields.
///
/// When both day fields are set, a day must meet **both** if either begins with `*`, otherwise **either**: Debian's
/// rule. ``DayRule`` says it in words. An expression that no date meets is refused.
public struct CronExpression: Sendable, Hashable {
    /// The most bytes of an expression.
    public static let longest = 1024

    /// The expression as written.
    public let text: String
    /// The zone of a `CRON_TZ=` prefix.
    public let zoneIdentifier: String?
    /// Whether second, minute and hour are all free of a leading `*`: then ``ClockChanges`` concern it.
    public let hasFixedTimes: Bool
    let fields: [CronField: CronItems]
    let pattern: LocalPattern

    /// Reads an expression.
    /// - Parameters:
    ///   - text: The expression.
    ///   - schedule: The id of the schedule, from which `H` is chosen; without one `H` is refused.
    /// - Throws: ``CronError`` with the column and what to write, in well under 5 ms whatever the text.
    public init(_ text: String, schedule: String? = nil) throws(CronError) {
        let parser = CronParser(text, schedule: schedule)
        let reading = try parser.read()
        self.text = text
        zoneIdentifier = reading.zone
        fields = reading.fields
        hasFixedTimes = ![CronField.second, .minute, .hour].contains { reading.fields[$0]?.isStarred ?? true }
        pattern = reading.pattern
        if !pattern.days.isSatisfiable {
            throw CronError(
                .neverFires,
                token: text,
                column: 1,
                reason: "never fires: \(reading.neverFiresReason(pattern.days))",
                hint: nil,
                expression: text
            )
        }
    }

    /// The first instant after this one, a whole second; `nil` when none comes before the year 10000.
    ///
    /// Pure: it depends on nothing but its arguments. A few hundred nanoseconds for common expressions, less than
    /// 5 ms for any.
    public func next(
        after instant: Timestamp,
        in zone: ZoneRules = .utc,
        clockChanges: ClockChanges = .standard
    ) -> Timestamp? {
        let zoned = ZonedPattern(pattern: pattern, zone: zone, isFixed: hasFixedTimes, changes: clockChanges)
        return Timestamp.after(instant) { zoned.next(after: $0) }
    }
}

extension CronExpression: CustomStringConvertible {
    public var description: String { text }
}

extension Timestamp {
    /// A whole second.
    init(seconds: Int64) {
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        self.init(microseconds: overflow ? (seconds < 0 ? .min : .max) : product)
    }

    /// Asks `next` for the whole second after this instant, within the years 1 to 9999, where the calendar is exact.
    static func after(_ instant: Timestamp, _ next: (Int64) -> Int64?) -> Timestamp? {
        let second = Civil.floor(instant.microseconds, by: 1_000_000)
        guard second <= Civil.seconds.upperBound else { return nil }
        return next(max(second, Civil.seconds.lowerBound)).map(Timestamp.init(seconds:))
    }
}

extension CronParser.Reading {
    var pattern: LocalPattern {
        let word: (CronField) -> UInt64 = { fields[$0]?.bits(of: $0)[0] ?? 0 }
        let years = fields[.year]?.bits(of: .year)
        let isEveryYear = years == CronItems(items: [.span(1970, 2199, step: 1)], isStarred: true).bits(of: .year)
        let rule = CronDayRule(
            monthDays: fields[.dayOfMonth] ?? CronItems(items: [], isStarred: true),
            weekdays: fields[.dayOfWeek] ?? CronItems(items: [], isStarred: true)
        )
        return LocalPattern(
            days: DayTable(
                months: UInt32(truncatingIfNeeded: word(.month)),
                years: isEveryYear ? nil : years.map(YearSet.init(bits:)),
                fires: rule.fires
            ),
            times: .fields(hours: word(.hour), minutes: word(.minute), seconds: word(.second))
        )
    }

    func neverFiresReason(_ days: DayTable) -> String {
        let months = Month.allCases.filter { days.months >> UInt32($0.rawValue) & 1 == 1 }
        let items = fields[.dayOfMonth]?.items ?? []
        if fields[.dayOfWeek]?.items == [.span(0, 6, step: 1)], items.count == 1, months.count == 1 {
            if case .span(let from, let to, _) = items[0], from == to, from > months[0].longestLength {
                return "\(months[0].name) has no day \(from)"
            }
        }
        return days.years == nil ? "no date meets its day fields and months" : "no date of its years meets its fields"
    }
}
