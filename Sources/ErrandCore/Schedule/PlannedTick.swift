// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A nominal time that a rule will have, as a preview shows it.
public struct PlannedTick: Sendable, Hashable {
    /// The instant.
    public let nominal: Timestamp
    /// The wall-clock time in the rule's zone: `Sun 29 Mar 2026 03:00:00 +02:00`.
    public let local: String
    /// What the clocks do to this tick; empty on all but a few nights.
    public let notes: [String]
}

extension ScheduleRule {
    /// The next nominal times after this instant, at most `count` and never more than 1,000 or ``maximumRuns``.
    ///
    /// A rule with a ``delayAfterCompletion`` has one, for a run that ended at `instant`: what follows depends on runs.
    public func preview(_ count: Int, after instant: Timestamp) -> [PlannedTick] {
        var ticks: [PlannedTick] = []
        var from = instant
        let most = min(max(count, 0), delayAfterCompletion == nil ? 1000 : 1, bounds.limit ?? .max)
        while ticks.count < most, let next = next(after: from) {
            ticks.append(PlannedTick(nominal: next, local: local(next), notes: notes(on: next, after: from)))
            from = next
        }
        return ticks
    }

    private func local(_ instant: Timestamp) -> String {
        let second = Civil.floor(instant.microseconds, by: 1_000_000)
        let offset = zone.stretch(at: second).offset
        return WallClock.text(ofLocal: second + offset) + " " + WallClock.text(ofOffset: offset)
    }

    private func notes(on instant: Timestamp, after previous: Timestamp) -> [String] {
        switch base {
        case .interval, .once, .afterCompletion: return []
        case .union(let rules):
            let notes = rules.filter { $0.next(after: previous) == instant }
                .flatMap {
                    $0.notes(on: instant, after: previous)
                }
            return notes.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        case .local(let zoned, _):
            return zoned.notes(
                on: Civil.floor(instant.microseconds, by: 1_000_000),
                after: Civil.floor(previous.microseconds, by: 1_000_000)
            )
        }
    }
}

extension ZonedPattern {
    /// What the clocks do to the tick at `second`, the first after `previous`.
    func notes(on second: Int64, after previous: Int64) -> [String] {
        let stretch = zone.stretch(at: second)
        let local = second + stretch.offset
        var notes: [String] = []
        if stretch.start != .min, stretch.start > previous {
            let before = zone.stretch(at: stretch.start - 1).offset
            let gap = (stretch.start + before)..<max(stretch.start + stretch.offset, stretch.start + before)
            let lost = matches(in: gap, limit: 4)
            if !lost.isEmpty {
                let times = lost.prefix(3).map(WallClock.time(ofLocal:)).joined(separator: ", ")
                let what = times + (lost.count > 3 ? " and more" : "")
                let skipped = "the clock skips \(WallClock.span(gap))"
                let isMoved = isFixed && changes.gap == .move
                notes.append(isMoved ? "moved from \(what): \(skipped)" : "nothing fires at \(what): \(skipped)")
            }
        }
        if let later = laterPass(of: second) {
            let start = zone.stretch(at: later).localStart
            let hours = start..<(zone.stretch(at: second).end + stretch.offset)
            notes.append("first pass: the clock shows \(WallClock.span(hours)) twice" + onlyOne(local))
        } else if let earlier = earlierPass(of: second) {
            let before = zone.stretch(at: earlier)
            let hours = stretch.localStart..<(before.end + before.offset)
            notes.append("second pass: the clock shows \(WallClock.span(hours)) twice" + onlyOne(local))
        }
        return notes
    }

    private func onlyOne(_ local: Int64) -> String {
        guard isFixed, changes.overlap != .both else { return "" }
        return ", and the other pass does not fire"
    }

    private func matches(in gap: Range<Int64>, limit: Int) -> [Int64] {
        var found: [Int64] = []
        var from = gap.lowerBound
        while found.count < limit, let match = pattern.next(atOrAfter: from), match < gap.upperBound {
            found.append(match)
            from = match + 1
        }
        return found
    }
}

/// How wall-clock times are written: English, 24 hours.
enum WallClock {
    static func two(_ number: some BinaryInteger) -> String { number < 10 ? "0\(number)" : "\(number)" }

    /// `02:30`, and seconds when there are any.
    static func time(ofSecond second: Int) -> String {
        let text = two(second / 3600) + ":" + two(second / 60 % 60)
        return second % 60 == 0 ? text : text + ":" + two(second % 60)
    }

    static func time(ofLocal local: Int64) -> String {
        time(ofSecond: Int(Civil.modulo(local, by: Civil.secondsPerDay)))
    }

    /// `02:00-03:00`; with the dates when it spans a day or more.
    static func span(_ range: Range<Int64>) -> String {
        guard range.upperBound - range.lowerBound >= Civil.secondsPerDay else {
            return time(ofLocal: range.lowerBound) + "-" + time(ofLocal: range.upperBound)
        }
        return date(ofLocal: range.lowerBound) + " " + time(ofLocal: range.lowerBound) + " - "
            + date(ofLocal: range.upperBound) + " " + time(ofLocal: range.upperBound)
    }

    /// `Sun 29 Mar 2026`.
    static func date(ofLocal local: Int64) -> String {
        let day = Int(Civil.floor(local, by: Civil.secondsPerDay))
        let date = Civil.date(ofDay: day)
        let weekday = Weekday(rawValue: Civil.weekday(ofDay: day))?.name.prefix(3) ?? ""
        let month = Month(rawValue: date.month)?.name.prefix(3) ?? ""
        return "\(weekday) \(date.day) \(month) \(date.year)"
    }

    /// `Sun 29 Mar 2026 03:00:00`.
    static func text(ofLocal local: Int64) -> String {
        let second = Int(Civil.modulo(local, by: Civil.secondsPerDay))
        return date(ofLocal: local) + " " + two(second / 3600) + ":" + two(second / 60 % 60) + ":" + two(second % 60)
    }

    /// `+02:00`, and seconds when there are any.
    static func text(ofOffset offset: Int64) -> String {
        (offset < 0 ? "-" : "+") + time(ofSecond: Int(offset.magnitude))
    }
}
