// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("The dialect of cron expressions", .timeLimit(.minutes(1)))
struct CronExpressionTests {
    struct Example: Sendable, CustomTestStringConvertible {
        let text: String
        let after: String
        let ticks: [String]
        var testDescription: String { text }

        init(_ text: String, _ after: String, _ ticks: String...) {
            (self.text, self.after, self.ticks) = (text, after, ticks)
        }
    }

    static let examples: [Example] = [
        Example("* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"),
        Example("5 4 * * *", "2026-01-01T04:05:00Z", "2026-01-02T04:05:00Z"),
        Example("30 15 10 * * *", "2026-01-01T00:00:00Z", "2026-01-01T10:15:30Z", "2026-01-02T10:15:30Z"),
        Example("0 0 0 1 1 * 2030", "2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
        Example("0 0 0 1 1 * 2030,2100-2101", "2030-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "2101-01-01T00:00:00Z"),
        Example("*/20 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:20:00Z", "2026-01-01T00:40:00Z"),
        Example("10-30/10 0 * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z", "2026-01-01T00:20:00Z"),
        Example("50/5 0 * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:50:00Z", "2026-01-01T00:55:00Z"),
        Example("7-7 0 * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:07:00Z", "2026-01-02T00:07:00Z"),
        Example("0 1,3-4,22 * * *", "2026-01-01T01:00:00Z", "2026-01-01T03:00:00Z", "2026-01-01T04:00:00Z"),
        // The step goes on over midnight: 22, 1.
        Example("0 22-2/3 * * *", "2026-01-01T12:00:00Z", "2026-01-01T22:00:00Z", "2026-01-02T01:00:00Z"),
        Example("0 0 1 NOV-feb *", "2026-02-01T00:00:00Z", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        Example("0 0 * * fri-MON", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"),
        Example("0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
        Example("0 0 * * 0", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
        Example("0 0 * * 5-7", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"),
        Example("0 0 * * 7-1", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z", "2026-01-05T00:00:00Z"),
        Example("0 0 * * 4/2", "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-08T00:00:00Z"),
        Example("0 0 L * *", "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"),
        Example("0 0 L-2 * *", "2026-01-31T00:00:00Z", "2026-02-26T00:00:00Z", "2026-03-29T00:00:00Z"),
        Example("0 0 LW * *", "2026-01-01T00:00:00Z", "2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"),
        Example("0 0 15W * *", "2026-02-01T00:00:00Z", "2026-02-16T00:00:00Z", "2026-03-16T00:00:00Z"),
        // 1 August 2026 is a Saturday, and 31 May 2026 a Sunday: the month is not left.
        Example("0 0 1W * *", "2026-07-31T00:00:00Z", "2026-08-03T00:00:00Z"),
        Example("0 0 31W * *", "2026-04-01T00:00:00Z", "2026-05-29T00:00:00Z", "2026-07-31T00:00:00Z"),
        Example("0 0 * * 5L", "2026-01-01T00:00:00Z", "2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"),
        Example("0 0 * * FRIL", "2026-01-01T00:00:00Z", "2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"),
        Example("0 0 * * 5#3", "2026-01-01T00:00:00Z", "2026-01-16T00:00:00Z", "2026-02-20T00:00:00Z"),
        Example("0 0 * * MON#1,FRIL", "2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z", "2026-01-30T00:00:00Z"),
        Example("0 0 ? * MON", "2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z"),
        Example("0 0 5 * ?", "2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z", "2026-02-05T00:00:00Z"),
        // Both set: either. One begins with a star: both.
        Example(
            "0 0 13 * FRI",
            "2026-01-01T00:00:00Z",
            "2026-01-02T00:00:00Z",
            "2026-01-09T00:00:00Z",
            "2026-01-13T00:00:00Z"
        ),
        Example("0 0 */2 * MON", "2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z", "2026-01-19T00:00:00Z"),
        Example("0 0 13 * */5", "2026-01-01T00:00:00Z", "2026-02-13T00:00:00Z", "2026-03-13T00:00:00Z"),
        Example("0 0 1-31 * MON", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        Example("@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        Example("@annually", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        Example("@monthly", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        Example("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
        Example("@daily", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        Example("@Midnight", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        Example("@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"),
        Example(" 0\t0  * * *\n", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        // Check values of the specification for this id: minute 27, hour 2, day of month 13, weekday 0.
        Example("H H * * *", "2026-01-01T00:00:00Z", "2026-01-01T02:27:00Z"),
        Example("0 0 H * *", "2026-01-01T00:00:00Z", "2026-01-13T00:00:00Z"),
        Example("0 0 * * H", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
        Example("*/90 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"),
        Example("0 0 29 2 *", "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"),
    ]

    @Test("each feature fires when it should", arguments: examples)
    func fires(example: Example) throws {
        let cron = try CronExpression(example.text, schedule: "nightly-report")
        #expect(cron.ticks(example.ticks.count, after: example.after) == example.ticks)
    }

    @Test(
        "acceptance 21: 29 February after 2096 is in 2104, in a zone too, and centuries that are no leap years are skipped"
    )
    func leapDay() throws {
        let berlin = try #require(TestZones.named("Europe/Berlin"))
        let cron = try CronExpression("0 0 29 2 *")
        #expect(cron.ticks(1, after: "2096-03-01T00:00:00Z", in: berlin) == ["2104-02-28T23:00:00Z"])
        #expect(cron.ticks(1, after: "2196-03-01T00:00:00Z") == ["2204-02-29T00:00:00Z"])
        #expect(cron.ticks(1, after: "2396-03-01T00:00:00Z") == ["2400-02-29T00:00:00Z"])
    }

    @Test("H with steps and ranges stays in them, for every id, and is the same each time")
    func hash() throws {
        for number in 0..<200 {
            let cron = try CronExpression("H(5-9) H/6 H * *", schedule: "schedule-\(number)")
            let ticks = cron.ticks(5, after: "2026-01-01T00:00:00Z")
            #expect(
                ticks
                    == (try CronExpression("H(5-9) H/6 H * *", schedule: "schedule-\(number)"))
                    .ticks(5, after: "2026-01-01T00:00:00Z")
            )
            let minutes = Set(ticks.map { String($0.dropFirst(14).prefix(2)) })
            #expect(minutes.count == 1 && minutes.isSubset(of: ["05", "06", "07", "08", "09"]))
            #expect(Set(ticks.prefix(4).map { $0.prefix(10) }).count == 1, "four times on one day: \(ticks)")
            let day = Int(ticks[0].dropFirst(8).prefix(2)) ?? 99
            #expect((1...28).contains(day))
        }
        // Steps beyond the field leave one number.
        _ = try CronExpression("H/90 H/100 H/400 H/13 H/9", schedule: "x")
    }

    @Test("the numbers of H and jitter are those of the specification")
    func checkValues() throws {
        let billing = try CronExpression("H H H * *", schedule: "billing.sync")
        #expect(billing.ticks(1, after: "2026-01-01T00:00:00Z") == ["2026-01-18T09:49:00Z"])
        let jitter = ScheduleHash.jitter(of: "nightly-report", nominal: 1_774_753_200, maximum: .seconds(600))
        #expect(jitter == .milliseconds(67_534))
        #expect(ScheduleHash.jitter(of: "x", nominal: 1, maximum: .zero) == .zero)
        for number in 0..<1000 {
            let stagger = ScheduleHash.stagger(of: "s\(number)", maximum: .seconds(10))
            #expect(stagger >= .zero && stagger <= .seconds(10))
        }
    }

    @Test("instants at the ends of time have an answer or none, never a trap")
    func ends() throws {
        let cron = try CronExpression("0 0 1 1 *")
        #expect(cron.next(after: .distantFuture) == nil)
        #expect(cron.next(after: Timestamp(microseconds: .min)) != nil)
        #expect(
            cron.next(after: TestZones.instant("2026-01-01T00:00:00Z") - .microseconds(1))
                == TestZones.instant("2026-01-01T00:00:00Z")
        )
        let past = try CronExpression("0 0 0 1 1 * 1999")
        #expect(past.next(after: TestZones.instant("2026-01-01T00:00:00Z")) == nil)
    }

    @Test(
        "acceptance 20: next is answered within 5 ms for the rarest rules",
        arguments: ["0 0 29 2 *", "0 0 29 2 */7", "0 0 0 31W 12 */5 *", "0 0 29 2 */1", "59 59 23 L-30 JAN * *"]
    )
    func quick(text: String) throws {
        let zone = try #require(TestZones.named("America/St_Johns"))
        let cron = try CronExpression(text)
        var from = TestZones.instant("2026-01-01T00:00:00Z")
        var least = Duration.seconds(1)
        for _ in 0..<20 {
            let clock = ContinuousClock()
            let start = clock.now
            guard let next = cron.next(after: from, in: zone) else { break }
            // The fastest of twenty: the machine is shared and may pause any one of them.
            least = min(least, clock.now - start)
            from = next
        }
        #expect(least < .milliseconds(5))
    }
}
