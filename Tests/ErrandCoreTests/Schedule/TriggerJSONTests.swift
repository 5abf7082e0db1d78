// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation
import Testing

/// Triggers with the JSON in which they are stored: old schedules must stay readable, so these texts never change.
enum TriggerJSON {
    static let start = Timestamp(microseconds: 1_767_225_600_000_000)
    static let exact = ClockChanges(gap: .skip, overlap: .both)

    static let stored: [(Trigger, String)] = [
        (.cron("0 9 * * *"), #"{"cron":"0 9 * * *"}"#),
        (.cron("@daily", in: "UTC"), #"{"cron":"@daily","zone":"UTC"}"#),
        (
            .cron("30 2 * * *", in: "Europe/Berlin", clockChanges: exact),
            #"{"cron":"30 2 * * *","gap":"skip","overlap":"both","zone":"Europe/Berlin"}"#
        ),
        (
            .cron("0 0 1 1 *", clockChanges: ClockChanges(overlap: .secondOnly)),
            #"{"cron":"0 0 1 1 *","overlap":"secondOnly"}"#
        ),
        (.cron("no \"cron\" \\ é\n"), #"{"cron":"no \"cron\" \\ é\n"}"#),
        (.every(.seconds(300)), #"{"every":300}"#),
        (.every(.seconds(300), from: start), #"{"anchor":1767225600000000,"every":300}"#),
        (.every(.milliseconds(1500)), #"{"every":"1.5s"}"#),
        (.every(.milliseconds(-1500)), #"{"every":"-1.5s"}"#),
        (.every(.seconds(0)), #"{"every":0}"#),
        (.every(.seconds(Int64.max)), #"{"every":9223372036854775807}"#),
        (
            .every(.seconds(Int64.max) + Duration(secondsComponent: 0, attosecondsComponent: -1)),
            #"{"every":"9223372036854775806.999999999999999999s"}"#
        ),
        (.every(.seconds(Int64.min)), #"{"every":-9223372036854775808}"#),
        (.afterCompletion(.seconds(60)), #"{"afterCompletion":60}"#),
        (.afterCompletion(.nanoseconds(-1)), #"{"afterCompletion":"-0.000000001s"}"#),
        (.once(at: start), #"{"once":1767225600000000}"#),
        (.once(at: Timestamp(microseconds: .min)), #"{"once":-9223372036854775808}"#),
        (.once(at: .distantFuture), #"{"once":9223372036854775807}"#),
        (
            .calendar(.everyDay, at: ["17:00", "06:30:15", "25:00"]),
            #"{"calendar":"everyDay","times":["17:00","06:30:15","25:00"]}"#
        ),
        (
            .calendar(.lastDay, at: [], months: [.february, .january], in: "Europe/Berlin", clockChanges: exact),
            #"{"calendar":"lastDay","gap":"skip","months":[1,2],"overlap":"both","times":[],"zone":"Europe/Berlin"}"#
        ),
        (
            .calendar(.lastWeekday, at: ["17:00"], months: []),
            #"{"calendar":"lastWeekday","months":[],"times":["17:00"]}"#
        ),
        (
            .union([.cron("0 9 * * *").limited(to: 2), .every(.seconds(60)), .union([])]),
            #"{"union":[{"cron":"0 9 * * *","limit":2},{"every":60},{"union":[]}]}"#
        ),
        (
            Trigger.every(.seconds(60)).starting(start).ending(start + .seconds(1)).limited(to: -3)
                .excluding([
                    LocalDate(2027, .january, 1), LocalDate(2026, .december, 25), LocalDate(-44, .march, -15),
                    LocalDate(12026, .june, 31), LocalDate(.max, .may, .min),
                ]),
            #"{"end":1767225601000000,"every":60,"excluding":["-0044-03--15","2026-12-25","2027-01-01","#
                + #""12026-06-31","9223372036854775807-05--9223372036854775808"],"limit":-3,"start":1767225600000000}"#
        ),
    ]

    static let days: [(DayRule, String)] = [
        (.everyDay, #""everyDay""#), (.lastDay, #""lastDay""#), (.lastWeekday, #""lastWeekday""#),
        (.days([15, 1, 15, 99]), #"{"days":[15,1,15,99]}"#), (.days([]), #"{"days":[]}"#),
        (.clamped(31), #"{"clamped":31}"#), (.clamped(DayOfMonth(.min)), #"{"clamped":-9223372036854775808}"#),
        (.nearestWeekday(to: 15), #"{"nearestWeekday":15}"#),
        (.weekdays([.friday, .sunday, .monday]), #"{"weekdays":["sunday","monday","friday"]}"#),
        (.weekdays([]), #"{"weekdays":[]}"#),
        (.nth(.second, .tuesday), #"{"nth":[2,"tuesday"]}"#), (.last(.friday), #"{"last":"friday"}"#),
        (.either(.days([1, 15]), .lastDay), #"{"either":[{"days":[1,15]},"lastDay"]}"#),
        (
            .both(.lastWeekday, .either(.weekdays([.monday]), .clamped(30))),
            #"{"both":["lastWeekday",{"either":[{"weekdays":["monday"]},{"clamped":30}]}]}"#
        ),
    ]

    static func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func trigger(_ text: String) throws -> Trigger {
        try JSONDecoder().decode(Trigger.self, from: Data(text.utf8))
    }

    /// A union of unions, this deep.
    static func unions(_ depth: Int) -> String {
        String(repeating: #"{"union":["#, count: depth) + #"{"every":60}"# + String(repeating: "]}", count: depth)
    }

    /// Day rules of day rules, this deep.
    static func days(_ depth: Int) -> String {
        String(repeating: #"{"either":["lastDay","#, count: depth) + #""everyDay""#
            + String(repeating: "]}", count: depth)
    }
}

@Suite("Triggers as JSON", .timeLimit(.minutes(1)))
struct TriggerJSONTests {
    @Test("every kind of trigger is written as it always was, and read again as it was", arguments: TriggerJSON.stored)
    func stored(trigger: Trigger, text: String) throws {
        #expect(try TriggerJSON.text(trigger) == text)
        #expect(try TriggerJSON.trigger(text) == trigger)
    }

    @Test("every kind of day rule is written as it always was, and read again as it was", arguments: TriggerJSON.days)
    func days(rule: DayRule, text: String) throws {
        #expect(try TriggerJSON.text(rule) == text)
        #expect(try JSONDecoder().decode(DayRule.self, from: Data(text.utf8)) == rule)
        let trigger = Trigger.calendar(rule, at: ["17:00"])
        #expect(try TriggerJSON.trigger(try TriggerJSON.text(trigger)) == trigger)
    }

    @Test("what a person may write is read: any order, unknown keys, defaults said aloud, null for nothing")
    func lenient() throws {
        #expect(
            try TriggerJSON.trigger(
                #"{"note":{"by":[1]},"overlap":"first","gap":"move","zone":null,"cron":"0 9 * * *","limit":null}"#
            ) == .cron("0 9 * * *")
        )
        #expect(try TriggerJSON.trigger(#"{"every":60,"anchor":0,"excluding":[]}"#) == .every(.seconds(60)))
        #expect(try TriggerJSON.trigger(#"{"every":"90s"}"#) == .every(.seconds(90)))
        #expect(
            try TriggerJSON.trigger(
                #"{"calendar":{"weekdays":["Monday","MONDAY"]},"times":["17:00"],"months":[2,1,2],"zone":"UTC"}"#
            ) == .calendar(.weekdays([.monday]), at: ["17:00"], months: [.january, .february])
        )
        #expect(
            try TriggerJSON.trigger(#"{"every":60,"excluding":["2026-1-5","2026-01-05"]}"#)
                == Trigger.every(.seconds(60)).excluding([LocalDate(2026, .january, 5)])
        )
    }

    @Test(
        "what cannot be a trigger is refused, in a sentence where the form is ours",
        arguments: [
            (
                #"{}"#,
                "a trigger has one of cron, every, calendar, once, union, afterCompletion; this one has none of them"
            ),
            (
                #"{"cron":"* * * * *","every":5}"#,
                "a trigger has one of cron, every, calendar, once, union, afterCompletion; this one has cron and every"
            ),
            (#"{"every":"soon"}"#, #""soon" is no number of seconds"#),
            (#"{"every":"1.s"}"#, #""1.s" is no number of seconds"#),
            (#"{"every":"--1s"}"#, #""--1s" is no number of seconds"#),
            (#"{"every":"s"}"#, #""s" is no number of seconds"#),
            (#"{"every":"9223372036854775808s"}"#, #""9223372036854775808s" is no number of seconds"#),
            (#"{"every":"1.0000000000000000001s"}"#, #""1.0000000000000000001s" is no number of seconds"#),
            (#"{"every":1,"excluding":["2026-13-01"]}"#, #""2026-13-01" is no date; write "2026-12-25""#),
            (#"{"every":1,"excluding":["2026-12-25T"]}"#, #""2026-12-25T" is no date; write "2026-12-25""#),
            (#"{"every":1,"excluding":["99999999999999999999-01-01"]}"#, nil),
            (#"{"calendar":"someDay","times":[]}"#, #""someDay" is no day rule"#),
            (
                #"{"calendar":{},"times":[]}"#,
                "a day rule is a word or has one of days, clamped, nearestWeekday, weekdays, nth, last, either, both"
            ),
            (#"{"calendar":{"last":"Freitag"},"times":[]}"#, #""Freitag" is no weekday; write "monday""#),
            (#"{"calendar":{"nth":[6,"friday"]},"times":[]}"#, "a month has at most five such days; write 1 to 5"),
            (#"{"calendar":{"nth":[]},"times":[]}"#, nil),
            (#"{"calendar":{"both":["lastDay"]},"times":[]}"#, nil),
            (#"{"calendar":{"both":["lastDay","lastDay","lastDay"]},"times":[]}"#, "both joins two day rules"),
            (#"{"calendar":"lastDay"}"#, nil), (#"{"calendar":"lastDay","times":["17:00"],"months":[13]}"#, nil),
            (#"{"cron":null}"#, nil), (#"{"cron":5}"#, nil), (#"{"every":1.5}"#, nil), (#"{"every":1e30}"#, nil),
            (#"{"cron":"* * * * *","gap":"jump"}"#, nil), (#"{"once":"now"}"#, nil), (#"{"union":{}}"#, nil),
            (#"{"union":[5]}"#, nil), (#"[]"#, nil), (#""every""#, nil), (#"5"#, nil), (#"null"#, nil),
        ] as [(String, String?)]
    )
    func refused(text: String, message: String?) {
        let error = #expect(throws: DecodingError.self) { try TriggerJSON.trigger(text) }
        guard let message else { return }
        guard case .dataCorrupted(let context) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(context.debugDescription == message)
    }

    @Test("unions are read 8 deep and day rules 16 deep, as far as they can become a rule; deeper ones are refused")
    func deep() throws {
        #expect(throws: Never.self) { try TriggerJSON.trigger(TriggerJSON.unions(8)).rule(zones: .utc) }
        let days = { #"{"times":["17:00"],"calendar":\#(TriggerJSON.days($0))}"# }
        #expect(throws: Never.self) { try TriggerJSON.trigger(days(16)).rule(zones: .utc) }
        for text in [
            TriggerJSON.unions(9), TriggerJSON.unions(400), TriggerJSON.unions(100_000), days(17), days(400),
            days(100_000),
        ] {
            #expect(throws: DecodingError.self) { try TriggerJSON.trigger(text) }
        }
        let tooDeep = (0..<17).reduce(DayRule.lastDay) { rule, _ in .both(rule, .everyDay) }
        let error = #expect(throws: TriggerError.self) {
            try Trigger.calendar(tooDeep, at: ["17:00"]).rule(zones: .utc)
        }
        #expect(error?.message == "a day rule is nested more than 16 deep")
    }

    @Test("a duration too long to be taken apart is written as the longest, and refused by the rule")
    func endless() throws {
        let endless = Trigger.every(.seconds(Int64.max) + .seconds(Int64.max))
        #expect(try TriggerJSON.text(endless) == #"{"every":9223372036854775807}"#)
        let error = #expect(throws: TriggerError.self) { try endless.rule(zones: .utc) }
        #expect(error?.code == .interval)
    }
}
