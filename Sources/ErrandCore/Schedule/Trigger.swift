// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What makes a schedule fire, as its author writes it: a cron expression, an interval, a calendar rule, one instant, a
/// pause after each run, or several of them, with bounds.
///
/// Writing one never fails, because expressions and zones may come from a form or a file. ``rule(for:zones:)`` checks
/// it and makes the ``ScheduleRule`` that knows the next time.
public struct Trigger: Sendable, Hashable {
    indirect enum Kind: Sendable, Hashable {
        case cron(String, zone: String?, ClockChanges)
        case interval(Duration, anchor: Timestamp)
        case calendar(DayRule, [LocalTime], [Month], zone: String, ClockChanges)
        case once(Timestamp)
        case union([Trigger])
        case afterCompletion(Duration)
    }

    /// How deep unions of unions may go.
    static let deepest = 8

    let kind: Kind
    var start: Timestamp?
    var end: Timestamp?
    var limit: Int?
    var excluded: Set<LocalDate> = []

    init(kind: Kind) { self.kind = kind }

    /// A cron expression (``CronExpression`` describes the dialect), or `@every 90s`, which is an interval.
    /// - Parameters:
    ///   - text: The expression.
    ///   - zone: An IANA zone. UTC unless given here or as `CRON_TZ=`; an error when given in both.
    ///   - clockChanges: What happens to fixed times when clocks change.
    public static func cron(_ text: String, in zone: String? = nil, clockChanges: ClockChanges = .standard) -> Trigger {
        Trigger(kind: .cron(text, zone: zone, clockChanges))
    }

    /// Every so many seconds of elapsed time, counted from the anchor, so that restarts and deploys change nothing:
    /// `.every(.hours(1))` is on the hour in UTC. Whole seconds, at least one. Knows no clock changes.
    public static func every(_ interval: Duration, from anchor: Timestamp = .epoch) -> Trigger {
        Trigger(kind: .interval(interval, anchor: anchor))
    }

    /// Times of day on days that are said in words. Months: every month unless given. Zone: UTC unless given.
    public static func calendar(
        _ days: DayRule,
        at times: [LocalTime],
        months: Set<Month> = Set(Month.allCases),
        in zone: String = "UTC",
        clockChanges: ClockChanges = .standard
    ) -> Trigger {
        let months = months.sorted { $0.rawValue < $1.rawValue }
        return Trigger(kind: .calendar(days, times, months, zone: zone, clockChanges))
    }

    /// One instant, moved to the next whole second.
    public static func once(at instant: Timestamp) -> Trigger { Trigger(kind: .once(instant)) }

    /// This long after the previous run ended, however long that took. Whole seconds, at least one.
    ///
    /// Each time follows from the end of a run, so there is no grid, and only the very next time can be known. Excluded
    /// dates move it to the first second after them. It cannot be part of a union.
    public static func afterCompletion(_ delay: Duration) -> Trigger { Trigger(kind: .afterCompletion(delay)) }

    /// Whenever one of these fires; the same instant in several is one tick.
    public static func union(_ triggers: [Trigger]) -> Trigger { Trigger(kind: .union(triggers)) }

    /// The same, but not before this instant; the instant itself may fire.
    public func starting(_ instant: Timestamp) -> Trigger { with { $0.start = instant } }

    /// The same, but not after this instant; the instant itself may fire.
    public func ending(_ instant: Timestamp) -> Trigger { with { $0.end = instant } }

    /// The same, but finished after this many runs. Runs are counted where they are stored; previews stop there too.
    public func limited(to runs: Int) -> Trigger { with { $0.limit = runs } }

    /// The same, but not on these dates of the trigger's zone, as on holidays. A union's own dates are in UTC.
    public func excluding(_ dates: Set<LocalDate>) -> Trigger { with { $0.excluded.formUnion(dates) } }

    private func with(_ change: (inout Trigger) -> Void) -> Trigger {
        var copy = self
        change(&copy)
        return copy
    }
}
