// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("Counting and looking back with ScheduleRule", .timeLimit(.minutes(1)))
struct ScheduleRuleCountTests {
    static let start = TestZones.instant("2026-01-01T00:00:00Z")
    static let zones = ["Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo"]
        .reduce(into: [String: ZoneRules]()) { $0[$1] = TestZones.named($1) }
    static let catalog = ZoneCatalog(rules: { zones[$0] })

    private func rule(_ trigger: Trigger) throws -> ScheduleRule { try trigger.rule(for: "id", zones: Self.catalog) }

    /// The times in a span, one after the other.
    private func walked(_ rule: ScheduleRule, _ lower: Timestamp, _ upper: Timestamp) -> [Timestamp] {
        var (found, from) = ([Timestamp](), lower)
        while let next = rule.next(after: from), next <= upper {
            found.append(next)
            from = next
        }
        return found
    }

    static let walkable: [Trigger] = [
        .every(.seconds(7)), .every(.seconds(3600), from: start + .microseconds(1)),
        Trigger.every(.seconds(60)).starting(start + .seconds(61)).ending(start + .minutes(90)),
        Trigger.every(.seconds(600)).excluding([LocalDate(2026, .january, 1)]),
        .cron("@every 45s", in: "Europe/Berlin"), .cron("*/13 * * * *"), .cron("30 2 * * *", in: "Europe/Berlin"),
        .union([.every(.seconds(90)), .cron("*/2 * * * *")]), .once(at: start + .milliseconds(1)),
        .once(at: start),
    ]

    @Test("a count is that of a walk, from and to any fraction of a second", arguments: walkable)
    func counts(trigger: Trigger) throws {
        let rule = try rule(trigger)
        let edges: [Duration] = [
            .seconds(-1), .microseconds(-1), .zero, .microseconds(1), .milliseconds(999), .seconds(1), .seconds(60),
            .seconds(61), .minutes(91), .hours(13), .hours(25),
        ]
        for lower in edges {
            for upper in edges {
                let (lower, upper) = (Self.start + lower, Self.start + upper)
                let walked = walked(rule, lower, upper)
                let count = rule.count(after: lower, through: upper)
                #expect(count == (walked.count, walked.last, false), "\(lower) \(upper)")
            }
        }
    }

    @Test("an interval of a second is counted over all time at once, other rules up to the limit")
    func limits() throws {
        let seconds = try rule(.every(.seconds(1)))
        #expect(
            seconds.count(after: Self.start, through: Self.start + .days(7))
                == (604_800, Self.start + .days(7), false)
        )
        // The last time that `next` answers is the first of the year 10000.
        let end = TestZones.instant("9999-12-31T23:59:59Z") + .seconds(1)
        let all = seconds.count(after: Self.start, through: .distantFuture)
        #expect(all.count == Int((end - Self.start).components.seconds) && all.last == end && !all.isCapped)
        #expect(seconds.next(after: end) == nil)
        let literal = try rule(.cron("* * * * * *"))
        let span = Self.start + .seconds(10)
        #expect(literal.count(after: Self.start, through: span, limit: 4) == (4, Self.start + .seconds(4), true))
        #expect(literal.count(after: Self.start, through: span, limit: 10) == (10, span, false))
        #expect(literal.count(after: Self.start, through: span, limit: 0) == (0, nil, true))
        #expect(literal.count(after: span, through: Self.start) == (0, nil, false))
    }

    struct Night: Sendable, CustomTestStringConvertible {
        let trigger: Trigger
        let before: String
        let previous: String?
        var testDescription: String { "\(before) -> \(previous ?? "none")" }
    }

    private static func berlin(_ text: String, _ changes: ClockChanges = .standard) -> Trigger {
        .cron(text, in: "Europe/Berlin", clockChanges: changes)
    }

    static let nights: [Night] = [
        Night(trigger: berlin("30 2 * * *"), before: "2026-03-29T01:00:01Z", previous: "2026-03-29T01:00:00Z"),
        Night(trigger: berlin("30 2 * * *"), before: "2026-03-29T01:00:00Z", previous: "2026-03-28T01:30:00Z"),
        Night(
            trigger: berlin("30 2 * * *", ClockChanges(gap: .skip)),
            before: "2026-03-30T00:30:00Z",
            previous: "2026-03-28T01:30:00Z"
        ),
        Night(trigger: berlin("*/15 2 * * *"), before: "2026-03-29T12:00:00Z", previous: "2026-03-28T01:45:00Z"),
        Night(trigger: berlin("30 2 * * *"), before: "2026-10-25T12:00:00Z", previous: "2026-10-25T00:30:00Z"),
        Night(
            trigger: berlin("30 2 * * *", ClockChanges(overlap: .both)),
            before: "2026-10-25T12:00:00Z",
            previous: "2026-10-25T01:30:00Z"
        ),
        Night(
            trigger: berlin("30 2 * * *", ClockChanges(overlap: .secondOnly)),
            before: "2026-10-25T01:30:00Z",
            previous: "2026-10-24T00:30:00Z"
        ),
        Night(trigger: berlin("*/15 2 * * *"), before: "2026-10-25T01:00:00Z", previous: "2026-10-25T00:45:00Z"),
        Night(
            trigger: .cron("15 2 * * *", in: "Australia/Lord_Howe"),
            before: "2026-10-03T15:30:01Z",
            previous: "2026-10-03T15:30:00Z"
        ),
        // Samoa had no 30 December 2011.
        Night(
            trigger: .cron("0 9 30 12 *", in: "Pacific/Apia"),
            before: "2012-06-01T00:00:00Z",
            previous: "2011-12-30T10:00:00Z"
        ),
        Night(
            trigger: .cron("0 0 * * *", in: "America/Sao_Paulo"),
            before: "2018-11-04T12:00:00Z",
            previous: "2018-11-04T03:00:00Z"
        ),
        Night(trigger: .cron("0 0 29 2 *"), before: "2104-02-29T00:00:00Z", previous: "2096-02-29T00:00:00Z"),
        Night(
            trigger: .cron("0 0 0 29 2 ? 1971-1980"),
            before: "2500-01-01T00:00:00Z",
            previous: "1980-02-29T00:00:00Z"
        ),
        Night(trigger: .cron("0 0 0 29 2 ? 1971-1980"), before: "1972-02-29T00:00:00Z", previous: nil),
        Night(trigger: .once(at: start), before: "2026-01-01T00:00:00Z", previous: nil),
        Night(trigger: .once(at: start), before: "2026-01-01T00:00:01Z", previous: "2026-01-01T00:00:00Z"),
        Night(trigger: .every(.seconds(60)), before: "2026-01-01T00:00:00Z", previous: "2025-12-31T23:59:00Z"),
        Night(
            trigger: Trigger.every(.seconds(60)).starting(start).ending(start + .seconds(90)),
            before: "2036-01-01T00:00:00Z",
            previous: "2026-01-01T00:01:00Z"
        ),
        Night(trigger: Trigger.every(.seconds(60)).starting(start), before: "2026-01-01T00:00:00Z", previous: nil),
        Night(
            trigger: Trigger.every(.seconds(60)).excluding([LocalDate(2025, .december, 31)]),
            before: "2026-01-01T00:00:00Z",
            previous: "2025-12-30T23:59:00Z"
        ),
        Night(
            trigger: .union([.once(at: start), .calendar(.lastDay, at: ["12:00"], months: [.december])]),
            before: "2026-01-01T00:00:00Z",
            previous: "2025-12-31T12:00:00Z"
        ),
    ]

    @Test("the time before an instant, also on the nights when clocks change", arguments: nights)
    func previous(night: Night) throws {
        let previous = try rule(night.trigger).previous(before: TestZones.instant(night.before))
        #expect(previous.map(TestZones.text) == night.previous)
    }

    @Test(
        "looking back from each time finds the one before it, through both changes of a year",
        arguments: [
            berlin("*/20 0-4 * * *"), berlin("30 2 * * *", ClockChanges(gap: .move, overlap: .both)),
            berlin("0,30 1-3 * * *", ClockChanges(gap: .skip, overlap: .secondOnly)),
            .union([berlin("0 0 1 * *"), .every(.days(3))]),
            Trigger.every(.hours(5)).excluding([LocalDate(2026, .may, 1)]),
            .cron("15,45 1,2 * * *", in: "Australia/Lord_Howe"),
        ]
    )
    func inverse(trigger: Trigger) throws {
        let rule = try rule(trigger)
        let times = walked(rule, Self.start, Self.start + .days(365))
        for (time, next) in zip(times, times.dropFirst()) {
            #expect(rule.previous(before: next) == time)
            #expect(rule.previous(before: time + .microseconds(1)) == time)
        }
        #expect(times.count > 100)
    }

    @Test("times a second apart are not overlooked, wherever the search begins")
    func dense() throws {
        for trigger in [Trigger.every(.seconds(1)), .cron("* * * * * *"), .cron("7,8,9 * * * * *")] {
            let rule = try rule(trigger)
            for offset in 0..<200 {
                let time = try #require(rule.next(after: Self.start + .seconds(offset)))
                let next = try #require(rule.next(after: time))
                #expect(rule.previous(before: next) == time)
                #expect(rule.previous(before: next + .microseconds(1)) == next)
            }
        }
        let pair = try rule(Trigger.cron("7,8 0 0 1 1 *"))
        for offset in 0..<400 {
            let before = Self.start + .seconds(9 + offset * 977)
            #expect(pair.previous(before: before) == Self.start + .seconds(8), "\(offset)")
        }
    }

    @Test("the ends of time are no trap", arguments: walkable)
    func ends(trigger: Trigger) throws {
        let rule = try rule(trigger)
        let dawn = Timestamp(microseconds: .min)
        #expect(rule.previous(before: dawn) == nil)
        #expect(rule.count(after: dawn, through: dawn) == (0, nil, false))
        #expect(rule.count(after: .distantFuture, through: .distantFuture) == (0, nil, false))
        let last = try #require(rule.previous(before: .distantFuture))
        #expect(rule.next(after: last) == nil)
    }

    @Test("years that are listed are found from any year before them")
    func years() throws {
        let cron = try CronExpression("0 0 0 29 2 ? 1971-1980")
        #expect(cron.next(after: Timestamp(microseconds: .min)) == TestZones.instant("1972-02-29T00:00:00Z"))
    }
}
