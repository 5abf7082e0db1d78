// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension Trigger {
    /// Checks the trigger and makes the rule that knows its times.
    /// - Parameters:
    ///   - schedule: The id of the schedule, from which `H` is chosen.
    ///   - zones: Where zones are found.
    /// - Throws: ``TriggerError``, in one line that says what to write.
    public func rule(for schedule: String? = nil, zones: ZoneCatalog) throws(TriggerError) -> ScheduleRule {
        try rule(for: schedule, zones: zones, depth: 0)
    }

    private func rule(for schedule: String?, zones: ZoneCatalog, depth: Int) throws(TriggerError) -> ScheduleRule {
        let bounds = try bounds()
        switch kind {
        case .cron(let text, let zone, let changes):
            if let interval = try Self.interval(in: text) {
                let zone = try zones.zone(zone ?? "UTC")
                return ScheduleRule(base: .interval(seconds: interval, anchor: 0), zone: zone, bounds: bounds)
            }
            let cron: CronExpression
            do throws(CronError) {
                cron = try CronExpression(text, schedule: schedule)
            } catch {
                throw TriggerError(.cron, error.description, cron: error)
            }
            if let zone, let written = cron.zoneIdentifier {
                let message = "\(text.debugDescription): zone \(written) in the text and \(zone) beside it; write one"
                throw TriggerError(.twoZones, message)
            }
            let rules = try zones.zone(zone ?? cron.zoneIdentifier ?? "UTC")
            let zoned = ZonedPattern(pattern: cron.pattern, zone: rules, isFixed: cron.hasFixedTimes, changes: changes)
            return ScheduleRule(base: .local(zoned, .cron(cron)), zone: rules, bounds: bounds)
        case .interval(let interval, let anchor):
            let seconds = try Self.wholeSeconds(interval)
            let from = -Civil.floor(-max(anchor.microseconds, -.max), by: 1_000_000)
            return ScheduleRule(base: .interval(seconds: seconds, anchor: from), zone: .utc, bounds: bounds)
        case .calendar(let days, let times, let months, let zone, let changes):
            let pattern = try Self.pattern(days, times, months)
            let rules = try zones.zone(zone)
            let zoned = ZonedPattern(pattern: pattern, zone: rules, isFixed: true, changes: changes)
            return ScheduleRule(base: .local(zoned, .calendar(days, times, months)), zone: rules, bounds: bounds)
        case .once(let instant):
            let second = -Civil.floor(-max(instant.microseconds, -.max), by: 1_000_000)
            return ScheduleRule(base: .once(second), zone: .utc, bounds: bounds)
        case .union(let triggers):
            guard !triggers.isEmpty, triggers.count <= 100, depth < Self.deepest else {
                throw TriggerError(.bounds, "a union needs 1 to 100 triggers, nested at most \(Self.deepest) deep")
            }
            var rules: [ScheduleRule] = []
            for trigger in triggers {
                rules.append(try trigger.rule(for: schedule, zones: zones, depth: depth + 1))
            }
            return ScheduleRule(base: .union(rules), zone: .utc, bounds: bounds)
        case .afterCompletion(let delay):
            let seconds = try Self.wholeSeconds(delay, of: "a delay")
            guard depth == 0 else {
                throw TriggerError(.bounds, "a delay after completion cannot be in a union; make it its own schedule")
            }
            return ScheduleRule(base: .afterCompletion(seconds: seconds), zone: .utc, bounds: bounds)
        }
    }

    private func bounds() throws(TriggerError) -> ScheduleRule.Bounds {
        if let start, let end, end < start { throw TriggerError(.bounds, "the end is before the start") }
        if let limit, limit < 1 { throw TriggerError(.bounds, "a limit of \(limit) runs; write 1 or more") }
        return ScheduleRule.Bounds(start: start, end: end, limit: limit, excluded: excluded)
    }

    private static func wholeSeconds(
        _ interval: Duration,
        of what: String = "an interval"
    ) throws(TriggerError) -> Int64 {
        // A duration can be longer than its own components can say, so it is bounded before it is taken apart.
        let (seconds, attoseconds) = interval.bounded.components
        guard seconds >= 1, attoseconds == 0, seconds <= 400 * 366 * Civil.secondsPerDay else {
            let message = "\(what) of \(interval.bounded); write whole seconds, from 1 up to 400 years"
            throw TriggerError(.interval, message)
        }
        return seconds
    }

    /// The seconds of `@every 90s`; units are `s`, `m`, `h` and `d`, added up: `1h30m`.
    private static func interval(in text: String) throws(TriggerError) -> Int64? {
        let words = text.utf8.prefix(CronExpression.longest).split(whereSeparator: { $0 == 0x20 || $0 == 0x09 })
        guard let first = words.first, first.elementsEqual("@every".utf8) else { return nil }
        let wrong = TriggerError(
            .interval,
            "\(String(text.prefix(120)).debugDescription): column 1: write a number and s, m, h or d, as @every 90s"
        )
        guard words.count == 2 else { throw wrong }
        var (total, number): (Int64, Int64?) = (0, nil)
        for byte in words[1] {
            if (0x30...0x39).contains(byte) {
                number = min((number ?? 0) * 10 + Int64(byte - 0x30), 1_000_000_000_000)
                continue
            }
            let units: [UInt8: Int64] = [0x73: 1, 0x6D: 60, 0x68: 3600, 0x64: 86_400]
            guard let count = number, let unit = units[byte | 0x20] else { throw wrong }
            total = min(total + count * unit, 1_000_000_000_000)
            number = nil
        }
        guard number == nil else { throw wrong }
        return try wholeSeconds(.seconds(total))
    }

    private static func pattern(
        _ days: DayRule,
        _ times: [LocalTime],
        _ months: [Month]
    ) throws(TriggerError) -> LocalPattern {
        if let problem = days.problem ?? times.lazy.compactMap(\.problem).first {
            throw TriggerError(.calendar, problem)
        }
        if times.isEmpty || months.isEmpty { throw TriggerError(.calendar, "write at least one time and one month") }
        let table = DayTable(
            months: months.reduce(0) { $0 | 1 << UInt32($1.rawValue) },
            years: nil,
            fires: days.fires
        )
        guard table.isSatisfiable else { throw TriggerError(.neverFires, "never fires: no date meets the rule") }
        return LocalPattern(days: table, times: .list(Set(times.compactMap(\.secondOfDay)).sorted()))
    }
}
