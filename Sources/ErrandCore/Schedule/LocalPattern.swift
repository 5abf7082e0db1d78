// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The wall-clock times of a rule, without a zone: its dates and its times of day.
///
/// A local time is written as the seconds since 1970 that a clock on the wall would show if it stood in UTC.
struct LocalPattern: Sendable, Hashable {
    let days: DayTable
    let times: DayTimes

    /// The first local time from this one on.
    func next(atOrAfter local: Int64) -> Int64? {
        let day = Civil.floor(local, by: Civil.secondsPerDay)
        let second = local - day * Civil.secondsPerDay
        if let later = times.next(atOrAfter: Int(second)), days.contains(day: Int(day)) {
            return day * Civil.secondsPerDay + Int64(later)
        }
        guard let first = times.next(atOrAfter: 0), let later = days.next(atOrAfter: Int(day) + 1) else { return nil }
        return Int64(later) * Civil.secondsPerDay + Int64(first)
    }

    func contains(_ local: Int64) -> Bool { next(atOrAfter: local) == local }
}

/// The times of day at which a rule fires, in seconds since midnight.
enum DayTimes: Sendable, Hashable {
    /// Every combination of these hours, minutes and seconds, one bit each.
    case fields(hours: UInt64, minutes: UInt64, seconds: UInt64)
    /// These, in order.
    case list([Int])

    func next(atOrAfter second: Int) -> Int? {
        switch self {
        case .list(let times): return times.first { $0 >= second }
        case .fields(let hours, let minutes, let seconds):
            let (hour, minute, rest) = (second / 3600, second / 60 % 60, second % 60)
            if hours >> UInt64(hour) & 1 == 1 {
                if minutes >> UInt64(minute) & 1 == 1, let later = Self.first(seconds, from: rest) {
                    return hour * 3600 + minute * 60 + later
                }
                if let later = Self.first(minutes, from: minute + 1), let first = Self.first(seconds, from: 0) {
                    return hour * 3600 + later * 60 + first
                }
            }
            guard let later = Self.first(hours, from: hour + 1), let minute = Self.first(minutes, from: 0),
                let first = Self.first(seconds, from: 0)
            else { return nil }
            return later * 3600 + minute * 60 + first
        }
    }

    private static func first(_ bits: UInt64, from index: Int) -> Int? {
        let left = bits >> UInt64(index)
        return left == 0 ? nil : index + left.trailingZeroBitCount
    }
}
