// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A time zone as a value: when its offset from UTC changes, and to what.
///
/// Rules read local times from it without asking anybody, so that ``CronExpression/next(after:in:clockChanges:)`` is
/// pure. `Errand` makes one from each IANA zone of Foundation; ``init(identifier:offset:)`` makes one from anything
/// that knows offsets. Changes are known from 1969 on; before that the offset of 1969 is taken.
public struct ZoneRules: Sendable, Hashable {
    /// The IANA name, as `Europe/Berlin`.
    public let identifier: String
    /// The instants, in seconds since 1970, at which the offset changes, up to the end of ``Yearly``'s base.
    let changes: [Int64]
    /// The offsets in seconds east of UTC: before the first change, after it, and so on; one more than `changes`.
    let offsets: [Int64]
    /// What happens every year from then on; `nil` when nothing does.
    let yearly: Yearly?

    /// A zone whose offset never changes, in whole seconds east of UTC.
    public init(identifier: String, fixedOffset: Int) {
        self.identifier = identifier
        changes = []
        offsets = [Int64(fixedOffset)]
        yearly = nil
    }

    init(identifier: String, changes: [Int64], offsets: [Int64], yearly: Yearly?) {
        self.identifier = identifier
        self.changes = changes
        self.offsets = offsets
        self.yearly = yearly
    }

    /// Coordinated universal time.
    public static let utc = ZoneRules(identifier: "UTC", fixedOffset: 0)

    /// The offset at this instant, east of UTC.
    public func offset(at instant: Timestamp) -> Duration {
        .seconds(stretch(at: Civil.floor(instant.microseconds, by: 1_000_000)).offset)
    }

    /// A stretch of time without a change of the offset: from `start` to before `end`.
    struct Stretch: Equatable {
        var start: Int64
        var end: Int64
        var offset: Int64

        /// The wall-clock time, as seconds since 1970 read from the wall, at its start.
        var localStart: Int64 { start == .min ? .min : start + offset }
    }

    /// The stretch that holds this second.
    func stretch(at second: Int64) -> Stretch {
        if let yearly, second >= yearly.from { return yearly.stretch(at: second, before: lastExplicit) }
        var (low, high) = (0, changes.count)
        while low < high {
            let middle = (low + high) / 2
            if changes[middle] <= second { low = middle + 1 } else { high = middle }
        }
        let start = low == 0 ? Int64.min : changes[low - 1]
        if low < changes.count { return Stretch(start: start, end: changes[low], offset: offsets[low]) }
        let end = yearly?.firstChange(atOrAfter: yearly?.from ?? 0) ?? Int64.max
        return Stretch(start: start, end: end, offset: offsets[low])
    }

    private var lastExplicit: Stretch {
        Stretch(start: changes.last ?? .min, end: .max, offset: offsets[offsets.count - 1])
    }
}

/// The changes of the offset that come every year, by the kind of year: there are only 14 calendars.
struct Yearly: Sendable, Hashable {
    struct Change: Sendable, Hashable {
        /// Seconds from the start of the year in UTC.
        var second: Int64
        var offset: Int64
    }

    /// The first second of the first year that follows the pattern.
    let from: Int64
    /// The changes of a common year that begins on Sunday, Monday …, then of leap years.
    let kinds: [[Change]]

    static func kind(ofYear year: Int) -> Int {
        (Civil.isLeap(year) ? 7 : 0) + Civil.weekday(ofDay: Civil.days(year: year, month: 1, day: 1))
    }

    static func start(ofYear year: Int) -> Int64 {
        Int64(Civil.days(year: year, month: 1, day: 1)) * Civil.secondsPerDay
    }

    static func year(of second: Int64) -> Int {
        Civil.date(ofDay: Int(Civil.floor(second, by: Civil.secondsPerDay))).year
    }

    func stretch(at second: Int64, before: ZoneRules.Stretch) -> ZoneRules.Stretch {
        let end = firstChange(atOrAfter: second + 1) ?? .max
        var year = Self.year(of: second)
        while Self.start(ofYear: year) >= from {
            let start = Self.start(ofYear: year)
            if let change = kinds[Self.kind(ofYear: year)].last(where: { start + $0.second <= second }) {
                return ZoneRules.Stretch(start: start + change.second, end: end, offset: change.offset)
            }
            year -= 1
        }
        return ZoneRules.Stretch(start: before.start, end: end, offset: before.offset)
    }

    /// The first change at or after this second; `nil` when forty years bring none.
    func firstChange(atOrAfter second: Int64) -> Int64? {
        let first = Self.year(of: max(second, from))
        for year in first...(first + 40) {
            let start = Self.start(ofYear: year)
            let change = kinds[Self.kind(ofYear: year)].first { start + $0.second >= second }
            if let change { return start + change.second }
        }
        return nil
    }
}
