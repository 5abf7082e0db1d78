// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// An instant of store time: whole microseconds since 1970-01-01T00:00:00Z.
///
/// Stores compare, order and write instants down. An integer does that exactly and alike in every
/// engine, which a `Double`-backed `Date` does not. `Errand` adds conversions from and to `Date`.
/// Arithmetic saturates at the ends of the range instead of trapping, because instants come from data.
public struct Timestamp: Sendable, Hashable, Comparable, Codable {
    /// Whole microseconds since the Unix epoch; negative before it.
    public var microseconds: Int64

    /// The instant this many microseconds after the Unix epoch.
    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    /// 1970-01-01T00:00:00Z.
    public static let epoch = Timestamp(microseconds: 0)

    /// The latest instant that can be written; used as "never".
    public static let distantFuture = Timestamp(microseconds: .max)

    /// Whole milliseconds since the Unix epoch, rounded down. This is what a UUIDv7 carries.
    public var milliseconds: Int64 { floored(by: 1000) }

    /// Whole minutes since the Unix epoch, rounded down: the bucket of the per-minute counters.
    public var minute: Int64 { floored(by: 60_000_000) }

    private func floored(by unit: Int64) -> Int64 {
        let (quotient, remainder) = microseconds.quotientAndRemainder(dividingBy: unit)
        return remainder < 0 ? quotient - 1 : quotient
    }

    public static func < (lhs: Timestamp, rhs: Timestamp) -> Bool {
        lhs.microseconds < rhs.microseconds
    }

    /// The instant `duration` later, clamped to the representable range.
    public static func + (lhs: Timestamp, rhs: Duration) -> Timestamp {
        let (sum, overflow) = lhs.microseconds.addingReportingOverflow(rhs.wholeMicroseconds)
        guard overflow else { return Timestamp(microseconds: sum) }
        return Timestamp(microseconds: rhs < .zero ? .min : .max)
    }

    /// The instant `duration` earlier, clamped to the representable range.
    public static func - (lhs: Timestamp, rhs: Duration) -> Timestamp {
        lhs + .microseconds(rhs.wholeMicroseconds == .min ? .max : -rhs.wholeMicroseconds)
    }

    /// The time from `rhs` to `lhs`; negative when `lhs` is earlier.
    public static func - (lhs: Timestamp, rhs: Timestamp) -> Duration {
        let (difference, overflow) = lhs.microseconds.subtractingReportingOverflow(rhs.microseconds)
        return .microseconds(overflow ? (lhs > rhs ? Int64.max : Int64.min) : difference)
    }
}

extension Duration {
    /// This duration in whole microseconds, rounded towards zero and clamped to `Int64`.
    public var wholeMicroseconds: Int64 {
        let (seconds, attoseconds) = components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, overflowed) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000_000)
        return overflowed ? (seconds < 0 ? .min : .max) : sum
    }

    /// This duration as seconds; the form metrics and formulas want.
    public var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }

    /// `count` minutes of 60 seconds.
    public static func minutes(_ count: Int) -> Duration { .seconds(60 * count) }

    /// `count` hours of 3,600 seconds.
    public static func hours(_ count: Int) -> Duration { .seconds(3600 * count) }

    /// `count` days of 24 hours; no calendar is asked.
    public static func days(_ count: Int) -> Duration { .seconds(86_400 * count) }
}
