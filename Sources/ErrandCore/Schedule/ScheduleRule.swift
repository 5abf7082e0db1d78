// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A checked trigger in its zone: it knows the next nominal time of a schedule. A pure value; ask from any thread.
public struct ScheduleRule: Sendable, Hashable {
    /// What the words of a rule are made from.
    enum Source: Sendable, Hashable {
        case cron(CronExpression)
        case calendar(DayRule, [LocalTime], [Month])
    }

    indirect enum Base: Sendable, Hashable {
        case local(ZonedPattern, Source)
        case interval(seconds: Int64, anchor: Int64)
        case once(Int64)
        case union([ScheduleRule])
        case afterCompletion(seconds: Int64)
    }

    struct Bounds: Sendable, Hashable {
        var start: Timestamp?
        var end: Timestamp?
        var limit: Int?
        var excluded: Set<LocalDate>
    }

    let base: Base
    /// The zone in which the rule reads its dates and times.
    public let zone: ZoneRules
    let bounds: Bounds

    init(base: Base, zone: ZoneRules, bounds: Bounds) {
        self.base = base
        self.zone = zone
        self.bounds = bounds
    }

    /// The first instant that may fire.
    public var start: Timestamp? { bounds.start }
    /// The last instant that may fire.
    public var end: Timestamp? { bounds.end }
    /// After how many runs the schedule is complete. The rule does not count: whoever stores the runs does.
    public var maximumRuns: Int? { bounds.limit }
    /// How long after the end of a run the next one is due; `nil` for rules that do not ask when anything ran.
    public var delayAfterCompletion: Duration? {
        guard case .afterCompletion(let seconds) = base else { return nil }
        return .seconds(seconds)
    }

    /// The first nominal time after this instant: a whole second; `nil` when there is none any more.
    ///
    /// It depends on the rule, its zone and the instant, never on when anything ran. Jitter is not part of it.
    ///
    /// A rule with a ``delayAfterCompletion`` is the exception: the instant is when the last run ended, and the answer is
    /// that end plus the delay, moved to a whole second, to the start, and out of excluded dates.
    public func next(after instant: Timestamp) -> Timestamp? {
        var from = instant
        if let delayAfterCompletion { from = from + delayAfterCompletion - .microseconds(1) }
        if let start = bounds.start, start > from { from = start - .microseconds(1) }
        let found = Timestamp.after(from) { next(after: $0) }
        guard let found, bounds.end.map({ found <= $0 }) ?? true else { return nil }
        return found
    }

    private func next(after second: Int64) -> Int64? {
        var from = second
        while let found = unbounded(after: from) {
            guard !bounds.excluded.isEmpty else { return found }
            let local = found + zone.stretch(at: found).offset
            let day = Civil.floor(local, by: Civil.secondsPerDay)
            guard isExcluded(day: Int(day)) else { return found }
            // The rest of the date is excluded too; a second pass of its last hour is found out again.
            let stretch = zone.stretch(at: found)
            let endOfDay = (day + 1) * Civil.secondsPerDay - stretch.offset
            from = max(found, min(endOfDay, stretch.end) - 1)
            if let end = bounds.end, Timestamp(seconds: from) > end { return nil }
        }
        return nil
    }

    private func isExcluded(day: Int) -> Bool {
        let date = Civil.date(ofDay: day)
        guard let month = Month(rawValue: date.month) else { return false }
        return bounds.excluded.contains(LocalDate(date.year, month, date.day))
    }

    private func unbounded(after second: Int64) -> Int64? {
        switch base {
        case .local(let zoned, _): return zoned.next(after: second)
        case .once(let instant): return instant > second ? instant : nil
        // The delay is in the instant asked about: any second from there on will do.
        case .afterCompletion: return second + 1
        case .interval(let seconds, let anchor):
            return anchor + (Civil.floor(second - anchor, by: seconds) + 1) * seconds
        case .union(let rules):
            let instant = Timestamp(seconds: second)
            let next = rules.compactMap { $0.next(after: instant) }.min()
            return next.map { Civil.floor($0.microseconds, by: 1_000_000) }
        }
    }
}
