// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("Triggers", .timeLimit(.minutes(1)))
struct TriggerTests {
    static let start = TestZones.instant("2026-01-01T00:00:00Z")

    private func ticks(_ trigger: Trigger, _ count: Int, after: Timestamp = start) throws -> [String] {
        try trigger.rule(for: "id", zones: TestZones.catalog).preview(count, after: after)
            .map { TestZones.text($0.nominal) }
    }

    private func failure(_ trigger: Trigger) -> TriggerError? {
        do throws(TriggerError) {
            _ = try trigger.rule(zones: TestZones.catalog)
            return nil
        } catch {
            return error
        }
    }

    @Test("an interval counts from the epoch, or from its anchor, before and after it")
    func interval() throws {
        #expect(
            try ticks(.every(.hours(1)), 2, after: Self.start + .minutes(7)) == [
                "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z",
            ]
        )
        let anchored = Trigger.every(.seconds(90), from: Self.start + .seconds(10))
        #expect(try ticks(anchored, 1, after: Self.start) == ["2026-01-01T00:00:10Z"])
        #expect(try ticks(anchored, 1, after: Self.start + .seconds(10)) == ["2026-01-01T00:01:40Z"])
        #expect(try ticks(anchored, 1, after: Self.start - .days(1)).count == 1)
        #expect(try ticks(.cron("@every 1h30m"), 1) == ["2026-01-01T01:30:00Z"])
        #expect(try ticks(.cron("@every 90s"), 2) == ["2026-01-01T00:01:30Z", "2026-01-01T00:03:00Z"])
    }

    @Test("acceptance 19: a thousand ticks of a minute, with jitter of 10 s, are nominally 60 s apart")
    func noDrift() throws {
        let rule = try Trigger.every(.seconds(60)).rule(zones: .utc)
        var (from, offsets) = (Self.start, Set<Duration>())
        for _ in 0..<1000 {
            let next = try #require(rule.next(after: from))
            #expect(next - from == .seconds(60))
            let jitter = ScheduleHash.jitter(of: "id", nominal: next.microseconds / 1_000_000, maximum: .seconds(10))
            #expect(jitter >= .zero && jitter <= .seconds(10))
            offsets.insert(jitter)
            from = next
        }
        #expect(offsets.count > 900)
    }

    @Test("a calendar rule reads as it is written")
    func calendar() throws {
        let paydays = Trigger.calendar(
            .both(.lastWeekday, .weekdays([.monday, .friday])),
            at: ["17:00"],
            in: "America/New_York"
        )
        #expect(try ticks(paydays, 2) == ["2026-01-30T22:00:00Z", "2026-02-27T22:00:00Z"])
        #expect(
            try ticks(.calendar(.clamped(31), at: ["00:00"]), 3, after: Self.start + .days(30)) == [
                "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z", "2026-04-30T00:00:00Z",
            ]
        )
        #expect(
            try ticks(.calendar(.days([31]), at: ["00:00"]), 3) == [
                "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z",
            ]
        )
        #expect(
            try ticks(.calendar(.either(.nth(.first, .monday), .last(.friday)), at: ["18:30:15", "06:00"]), 3) == [
                "2026-01-05T06:00:00Z", "2026-01-05T18:30:15Z", "2026-01-30T06:00:00Z",
            ]
        )
        #expect(
            try ticks(.calendar(.nearestWeekday(to: 15), at: ["12:00"], months: [.february, .august]), 2) == [
                "2026-02-16T12:00:00Z", "2026-08-14T12:00:00Z",
            ]
        )
        #expect(
            try ticks(
                .calendar(.everyDay, at: ["02:30"], in: "Europe/Berlin"),
                1,
                after: TestZones.instant("2026-03-28T12:00:00Z")
            ) == ["2026-03-29T01:00:00Z"]
        )
        #expect(try ticks(.calendar(.lastDay, at: ["00:00"], months: [.february]), 1) == ["2026-02-28T00:00:00Z"])
    }

    @Test("one instant fires once, at the next whole second")
    func once() throws {
        #expect(try ticks(.once(at: Self.start + .milliseconds(1500)), 5) == ["2026-01-01T00:00:02Z"])
        #expect(try ticks(.once(at: Self.start), 5).isEmpty)
        #expect(try ticks(.once(at: .distantFuture), 1).count == 1)
        #expect(try ticks(.once(at: Timestamp(microseconds: .min)), 1).isEmpty)
    }

    @Test("a window includes both ends, a limit ends a preview, dates are left out, equal instants are one")
    func bounds() throws {
        let daily = Trigger.cron("0 0 * * *")
        let window = daily.starting(Self.start + .days(2)).ending(Self.start + .days(3))
        #expect(try ticks(window, 9) == ["2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"])
        #expect(try ticks(daily.limited(to: 2), 9) == ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"])
        #expect(try daily.limited(to: 2).rule(zones: .utc).maximumRuns == 2)
        let holidays = daily.excluding([LocalDate(2026, .january, 2), LocalDate(2026, .january, 3)])
        #expect(try ticks(holidays, 1) == ["2026-01-04T00:00:00Z"])
        let seconds = Trigger.cron("* * * * * *", in: "Europe/Berlin").excluding([LocalDate(2026, .january, 2)])
        #expect(
            try ticks(seconds, 2, after: Self.start + .hours(22) + .minutes(59) + .seconds(58)) == [
                "2026-01-01T22:59:59Z", "2026-01-02T23:00:00Z",
            ]
        )
        let both = Trigger.union([daily, .cron("0 */12 * * *"), .once(at: Self.start + .days(1))])
        #expect(try ticks(both, 3) == ["2026-01-01T12:00:00Z", "2026-01-02T00:00:00Z", "2026-01-02T12:00:00Z"])
    }

    @Test("what cannot be a rule is refused in one line")
    func refused() {
        #expect(failure(.cron("0 0 31 4 *"))?.message == #""0 0 31 4 *": never fires: April has no day 31"#)
        #expect(failure(.cron("0 0 31 4 *"))?.cron?.code == .neverFires)
        #expect(
            failure(.cron("0 9 * * *", in: "Europe/Berlni"))?.message
                == #"zone "Europe/Berlni" unknown; did you mean Europe/Berlin?"#
        )
        #expect(failure(.cron("0 9 * * *", in: String(repeating: "x", count: 100_000)))?.code == .unknownZone)
        #expect(failure(.cron("CRON_TZ=Europe/Berlin 0 9 * * *", in: "Europe/Rome"))?.code == .twoZones)
        #expect(failure(.cron("CRON_TZ=Europe/Berlin 0 9 * * *")) == nil)
        #expect(failure(.every(.milliseconds(500)))?.code == .interval)
        #expect(failure(.every(.milliseconds(1500)))?.code == .interval)
        #expect(failure(.every(.seconds(Int64.max)))?.code == .interval)
        for text in [
            "@every", "@every 5", "@every s", "@every 0s", "@every 1x", "@every 1s 2s", "@every 99999999999999999999d",
            "@every -5s",
        ] {
            #expect(failure(.cron(text))?.code == .interval, "\(text)")
        }
        #expect(failure(.calendar(.days([0]), at: ["12:00"]))?.message == "day 0 is outside 1-31")
        #expect(failure(.calendar(.everyDay, at: ["25:00"]))?.message == #""25:00" is no time; write "17:00""#)
        #expect(failure(.calendar(.everyDay, at: []))?.code == .calendar)
        #expect(failure(.calendar(.weekdays([]), at: ["12:00"]))?.code == .calendar)
        #expect(failure(.calendar(.days([30]), at: ["12:00"], months: [.february]))?.code == .neverFires)
        #expect(failure(.union([]))?.code == .bounds)
        #expect(failure(Trigger.every(.seconds(1)).limited(to: 0))?.code == .bounds)
        #expect(
            failure(Trigger.every(.seconds(1)).starting(Self.start).ending(Self.start - .seconds(1)))?.code == .bounds
        )
        #expect(failure((0..<20).reduce(Trigger.every(.seconds(1))) { nested, _ in .union([nested]) })?.code == .bounds)
    }

    @Test(
        "times of day",
        arguments: ["9:00", "24:00", "12:60", "12", "", "12:00:00:00", "1２:00", "-1:00", "12:00:60", " 12:00"]
    )
    func times(text: String) {
        #expect(LocalTime(text).secondOfDay == nil)
        #expect(LocalTime("23:59:58").secondOfDay == 86_398)
    }
}
