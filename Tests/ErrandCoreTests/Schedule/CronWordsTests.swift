// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("Cron rules in words", .timeLimit(.minutes(1)))
struct CronWordsTests {
    @Test(
        "an expression is said in plain English",
        arguments: [
            ("0 0 13 * 5", "At 00:00 on day 13 of the month or on Friday"),
            ("0 0 */2 * 1", "At 00:00 on every 2nd day of the month if it is Monday"),
            ("0 9 * * 1#1", "At 09:00 on the first Monday of the month"),
            ("0 18 LW * *", "At 18:00 on the last weekday of the month"),
            ("* * * * *", "Every minute"), ("0 * * * *", "Every hour"), ("* * * * * *", "Every second"),
            ("*/10 * * * * *", "Every 10 seconds"), ("0,15,30,45 * * * *", "Every 15 minutes"),
            ("*/7 * * * *", "Every 7 minutes from the start of each hour"),
            ("0 */6 * * *", "At 00:00, 06:00, 12:00 and 18:00 every day"),
            ("0 */2 * * *", "Every 2 hours"), ("5 * * * *", "At minute 5 of every hour"),
            ("0 9-17 * * *", "Every hour from 09:00 through 17:00"),
            ("*/5 22-2 * * *", "Every 5 minutes from 22:00 through 02:59"),
            ("0 8 * * FRI-MON", "At 08:00, Friday through Monday"),
            ("0 8 * * MON,WED", "At 08:00 on Monday and Wednesday"),
            (
                "0 8 1-7,15 NOV-JAN *",
                "At 08:00 on days 1 through 7 and 15 of the month in January, November and December"
            ),
            ("0 0 L-2 * *", "At 00:00 on the day 2 days before the last of the month"),
            ("0 0 15W * *", "At 00:00 on the weekday nearest to day 15 of the month"),
            ("0 0 * * FRIL", "At 00:00 on the last Friday of the month"),
            ("0 0 0 1 1 * 2026-2030", "At 00:00 on day 1 of the month in January in 2026 through 2030"),
            ("15 30 6 * * *", "At 06:30:15 every day"),
        ]
    )
    func sentences(text: String, words: String) throws {
        #expect(try CronExpression(text).describe() == words)
    }

    @Test("a rule adds its zone, its night, its bounds")
    func rules() throws {
        func words(_ trigger: Trigger) throws -> String {
            try trigger.rule(for: "id", zones: TestZones.catalog).describe()
        }
        #expect(
            try words(.cron("*/15 9-17 * * MON-FRI", in: "Europe/Berlin"))
                == "Every 15 minutes from 09:00 through 17:59, Monday through Friday (Europe/Berlin)"
        )
        #expect(
            try words(.cron("30 2 * * *", in: "Europe/Berlin"))
                == "At 02:30 every day (Europe/Berlin) (once, at 03:00, on the night the clocks go forward)"
        )
        #expect(try words(.cron("30 2 * * *", in: "Asia/Tokyo")) == "At 02:30 every day (Asia/Tokyo)")
        #expect(try words(.every(.seconds(300))) == "Every 5 minutes")
        #expect(try words(.every(.seconds(90))) == "Every 90 seconds")
        #expect(
            try words(.once(at: TestZones.instant("2026-03-29T01:00:00Z"))) == "Once, at Sun 29 Mar 2026 01:00:00 UTC"
        )
        #expect(try words(Trigger.cron("0 0 * * *").limited(to: 3)) == "At 00:00 every day, at most 3 times")
        #expect(
            try words(
                .calendar(.both(.lastWeekday, .weekdays([.monday, .friday])), at: ["17:00"], in: "America/New_York")
            ) == "At 17:00 on the last weekday of the month if it is Monday or Friday (America/New_York)"
        )
    }

    @Test(
        "words made of times of day say exactly the times that fire",
        arguments: ["5 4 * * *", "0,30 6,18 * * *", "15 30 6 * * *", "0 22-2/2 * * *", "59 23 * * *"]
    )
    func againstNext(text: String) throws {
        let cron = try CronExpression(text)
        let first = TestZones.instant("2026-01-01T00:00:00Z")
        var (times, from) = ([String](), first - .seconds(1))
        while let next = cron.next(after: from), next < first + .days(1) {
            let clock = TestZones.text(next).dropFirst(11).prefix(8)
            times.append(String(clock.hasSuffix(":00") ? clock.prefix(5) : clock))
            from = next
        }
        let said = cron.describe().split(whereSeparator: { " ,".contains($0) }).filter { $0.contains(":") }
            .map(String.init)
        #expect(said == times)
    }

    @Test(
        "what may not be meant is warned of",
        arguments: [
            ("*/90 * * * *", 1), ("*/7 * * * *", 1), ("*/15 * * * *", 0), ("0 0 13 * 5", 1), ("0 0 */2 * 1", 1),
            ("0 0 13 * *", 0), ("0 0 * * 1", 0), ("30 2 * * *", 1), ("30 4 * * *", 0), ("*/15 2 * * *", 0),
        ]
    )
    func warnings(text: String, count: Int) throws {
        let rule = try Trigger.cron(text, in: "Europe/Berlin").rule(zones: TestZones.catalog)
        #expect(rule.warnings.count == count, "\(rule.warnings)")
        let old = try Trigger.cron("0 4 * * *", in: "EST").rule(zones: TestZones.catalog)
        #expect(old.warnings.count == 1)
    }
}
