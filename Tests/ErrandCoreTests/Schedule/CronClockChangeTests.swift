// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("Cron rules and clock changes", .timeLimit(.minutes(1)))
struct CronClockChangeTests {
    struct Night: Sendable, CustomTestStringConvertible {
        let zone: String
        let name: String
        let from: String
        let before: String
        let counts: [Int]
        var testDescription: String { "\(zone), \(name)" }
    }

    static let nights = [
        Night(
            zone: "Europe/Berlin",
            name: "gap",
            from: "2026-03-28T23:00:00Z",
            before: "2026-03-29T22:00:00Z",
            counts: [1, 23, 0]
        ),
        Night(
            zone: "Europe/Berlin",
            name: "overlap",
            from: "2026-10-24T22:00:00Z",
            before: "2026-10-25T23:00:00Z",
            counts: [1, 25, 8]
        ),
        Night(
            zone: "America/New_York",
            name: "gap",
            from: "2026-03-08T05:00:00Z",
            before: "2026-03-09T04:00:00Z",
            counts: [1, 23, 0]
        ),
        // New York repeats the hour from one to two: 02:30 comes once.
        Night(
            zone: "America/New_York",
            name: "overlap",
            from: "2026-11-01T04:00:00Z",
            before: "2026-11-02T05:00:00Z",
            counts: [1, 25, 4]
        ),
        // Half an hour: 02:00-02:30 is skipped in October, 01:30-02:00 comes twice in April.
        Night(
            zone: "Australia/Lord_Howe",
            name: "gap",
            from: "2026-10-03T13:30:00Z",
            before: "2026-10-04T13:00:00Z",
            counts: [1, 23, 2]
        ),
        Night(
            zone: "Australia/Lord_Howe",
            name: "overlap",
            from: "2026-04-04T13:00:00Z",
            before: "2026-04-05T13:30:00Z",
            counts: [1, 24, 4]
        ),
        // At midnight.
        Night(
            zone: "America/Sao_Paulo",
            name: "gap",
            from: "2018-11-04T03:00:00Z",
            before: "2018-11-05T02:00:00Z",
            counts: [1, 23, 4]
        ),
        Night(
            zone: "America/Sao_Paulo",
            name: "overlap",
            from: "2018-02-17T02:00:00Z",
            before: "2018-02-18T03:00:00Z",
            counts: [1, 25, 4]
        ),
        // Samoa crossed the date line and had no 30 December 2011: three dates, two days.
        Night(
            zone: "Pacific/Apia",
            name: "no 30 December",
            from: "2011-12-29T10:00:00Z",
            before: "2011-12-31T10:00:00Z",
            counts: [3, 48, 8]
        ),
    ]

    @Test("acceptance 8: 30 2 * * *, 0 * * * * and */15 2 * * * on the nights of five zones", arguments: nights)
    func counts(night: Night) throws {
        let zone = try #require(TestZones.named(night.zone))
        for (text, count) in zip(["30 2 * * *", "0 * * * *", "*/15 2 * * *"], night.counts) {
            for cron in [try CronExpression(text), try CronExpression("0 " + text)] {
                #expect(cron.count(from: night.from, before: night.before, in: zone) == count, "\(cron)")
            }
        }
    }

    @Test("Berlin in spring: a time that is skipped fires once, at the first instant after")
    func spring() throws {
        let berlin = try #require(TestZones.named("Europe/Berlin"))
        let start = "2026-03-28T12:00:00Z"
        #expect(
            try CronExpression("30 2 * * *").ticks(2, after: start, in: berlin) == [
                "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z",
            ]
        )
        // Four times land on 03:00, and the one that is there anyway: one tick.
        #expect(
            try CronExpression("0,15,30,45 2,3 * * *").ticks(4, after: start, in: berlin) == [
                "2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z", "2026-03-29T01:30:00Z", "2026-03-29T01:45:00Z",
            ]
        )
        #expect(
            try CronExpression("0 */2 * * *").ticks(3, after: "2026-03-28T22:30:00Z", in: berlin) == [
                "2026-03-28T23:00:00Z", "2026-03-29T02:00:00Z", "2026-03-29T04:00:00Z",
            ]
        )
        let skip = ClockChanges(gap: .skip)
        #expect(
            try CronExpression("30 2 * * *").ticks(1, after: start, in: berlin, changes: skip) == [
                "2026-03-30T00:30:00Z"
            ]
        )
    }

    @Test("Berlin in autumn: a time that comes twice fires in the first pass, an interval in both")
    func autumn() throws {
        let berlin = try #require(TestZones.named("Europe/Berlin"))
        let start = "2026-10-24T12:00:00Z"
        let nightly = try CronExpression("30 2 * * *")
        #expect(nightly.ticks(2, after: start, in: berlin) == ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"])
        #expect(nightly.ticks(1, after: "2026-10-25T01:00:00Z", in: berlin) == ["2026-10-26T01:30:00Z"])
        let both = nightly.ticks(3, after: start, in: berlin, changes: ClockChanges(overlap: .both))
        #expect(both == ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"])
        let second = nightly.ticks(2, after: start, in: berlin, changes: ClockChanges(overlap: .secondOnly))
        #expect(second == ["2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"])
        #expect(
            try CronExpression("0 * * * *").ticks(3, after: "2026-10-24T23:30:00Z", in: berlin) == [
                "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z",
            ]
        )
        #expect(
            try CronExpression("*/30 2 * * *").ticks(4, after: start, in: berlin) == [
                "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z",
            ]
        )
    }

    @Test("previews say what the clocks do to a tick")
    func notes() throws {
        func notes(_ text: String, after: String, _ count: Int, changes: ClockChanges = .standard) throws -> [[String]]
        {
            let rule = try Trigger.cron(text, in: "Europe/Berlin", clockChanges: changes).rule(zones: TestZones.catalog)
            return rule.preview(count, after: TestZones.instant(after)).map { [$0.local] + $0.notes }
        }
        #expect(
            try notes("30 2 * * *", after: "2026-03-28T12:00:00Z", 2) == [
                ["Sun 29 Mar 2026 03:00:00 +02:00", "moved from 02:30: the clock skips 02:00-03:00"],
                ["Mon 30 Mar 2026 02:30:00 +02:00"],
            ]
        )
        #expect(
            try notes("30 2 * * *", after: "2026-03-28T12:00:00Z", 1, changes: ClockChanges(gap: .skip)) == [
                ["Mon 30 Mar 2026 02:30:00 +02:00", "nothing fires at 02:30: the clock skips 02:00-03:00"]
            ]
        )
        #expect(
            try notes("*/20 2 * * *", after: "2026-10-25T00:30:00Z", 2) == [
                ["Sun 25 Oct 2026 02:40:00 +02:00", "first pass: the clock shows 02:00-03:00 twice"],
                ["Sun 25 Oct 2026 02:00:00 +01:00", "second pass: the clock shows 02:00-03:00 twice"],
            ]
        )
        #expect(
            try notes("30 2 * * *", after: "2026-10-24T12:00:00Z", 1) == [
                [
                    "Sun 25 Oct 2026 02:30:00 +02:00",
                    "first pass: the clock shows 02:00-03:00 twice, and the other pass does not fire",
                ]
            ]
        )
        #expect(
            try notes("*/30 * * * *", after: "2026-03-29T00:40:00Z", 1) == [
                ["Sun 29 Mar 2026 03:00:00 +02:00", "nothing fires at 02:00, 02:30: the clock skips 02:00-03:00"]
            ]
        )
    }

    @Test(
        "the tables of the page on clock changes",
        arguments: [
            ("30 2 * * *", 1, 1), ("0 */2 * * *", 11, 13), ("0 * * * *", 23, 25), ("*/15 2 * * *", 0, 8),
        ]
    )
    func page(text: String, spring: Int, autumn: Int) throws {
        let berlin = try #require(TestZones.named("Europe/Berlin"))
        let cron = try CronExpression(text)
        #expect(cron.count(from: "2026-03-28T23:00:00Z", before: "2026-03-29T22:00:00Z", in: berlin) == spring)
        #expect(cron.count(from: "2026-10-24T22:00:00Z", before: "2026-10-25T23:00:00Z", in: berlin) == autumn)
    }

    @Test("the choices of the page on clock changes: UTC of 29 March and 25 October")
    func choices() throws {
        let berlin = try #require(TestZones.named("Europe/Berlin"))
        let cron = try CronExpression("30 2 * * *")
        let table: [(ClockChanges, [String], [String])] = [
            (.standard, ["01:00"], ["00:30"]), (ClockChanges(gap: .skip), [], ["00:30"]),
            (ClockChanges(overlap: .both), ["01:00"], ["00:30", "01:30"]),
            (ClockChanges(overlap: .secondOnly), ["01:00"], ["01:30"]),
        ]
        for (changes, spring, autumn) in table {
            for (date, times) in [("2026-03-29", spring), ("2026-10-25", autumn)] {
                let ticks = cron.ticks(3, after: date + "T00:00:00Z", in: berlin, changes: changes)
                let found = ticks.filter { $0.hasPrefix(date) }.map { String($0.dropFirst(11).prefix(5)) }
                #expect(found == times)
            }
        }
    }

    @Test("a search in America/St_Johns of 2006, where another library never came back, ends")
    func stJohns() throws {
        let zone = try #require(TestZones.named("America/St_Johns"))
        let cron = try CronExpression("30 */2 * * *")
        #expect(cron.ticks(5, after: "2006-10-28T23:31:00Z", in: zone).count == 5)
    }
}
