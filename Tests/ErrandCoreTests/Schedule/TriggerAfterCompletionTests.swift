// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("Triggers after completion", .timeLimit(.minutes(1)))
struct TriggerAfterCompletionTests {
    static let finish = TestZones.instant("2026-01-01T12:00:00Z")

    private func failure(_ trigger: Trigger) -> TriggerError? {
        do throws(TriggerError) {
            _ = try trigger.rule(zones: .utc)
            return nil
        } catch {
            return error
        }
    }

    @Test("the next time is the end of the run plus the delay, moved to a whole second")
    func next() throws {
        let rule = try Trigger.afterCompletion(.seconds(90)).rule(zones: .utc)
        #expect(rule.delayAfterCompletion == .seconds(90))
        #expect(rule.next(after: Self.finish) == Self.finish + .seconds(90))
        #expect(rule.next(after: Self.finish + .microseconds(1)) == Self.finish + .seconds(91))
        #expect(rule.next(after: Self.finish - .microseconds(1)) == Self.finish + .seconds(90))
        #expect(rule.next(after: .distantFuture) == nil)
        #expect(rule.next(after: Timestamp(microseconds: .min)) != nil)
        let second = try Trigger.afterCompletion(.seconds(1)).rule(zones: .utc)
        #expect(second.next(after: Self.finish + .milliseconds(999)) == Self.finish + .seconds(2))
    }

    @Test("the start is waited for, the end is the end, excluded dates move it to the first second after them")
    func bounds() throws {
        let hourly = Trigger.afterCompletion(.hours(1))
        let start = Self.finish + .hours(5) + .milliseconds(500)
        let late = try hourly.starting(start).rule(zones: .utc)
        #expect(late.next(after: Self.finish) == Self.finish + .hours(5) + .seconds(1))
        #expect(late.next(after: start) == start + .hours(1) + .milliseconds(500))
        let ending = try hourly.ending(Self.finish + .hours(1)).rule(zones: .utc)
        #expect(ending.next(after: Self.finish) == Self.finish + .hours(1))
        #expect(ending.next(after: Self.finish + .microseconds(1)) == nil)
        let dates: Set = [LocalDate(2026, .january, 2), LocalDate(2026, .january, 3)]
        let holidays = try hourly.excluding(dates).rule(zones: .utc)
        #expect(holidays.next(after: Self.finish + .hours(10)) == TestZones.instant("2026-01-01T23:00:00Z"))
        #expect(holidays.next(after: Self.finish + .hours(11)) == TestZones.instant("2026-01-04T00:00:00Z"))
        #expect(holidays.next(after: Self.finish + .days(1)) == TestZones.instant("2026-01-04T00:00:00Z"))
    }

    @Test("only the very next time is known: previews and counts have one, and there is none before")
    func onlyOne() throws {
        let rule = try Trigger.afterCompletion(.minutes(5)).limited(to: 9).rule(zones: .utc)
        #expect(rule.preview(10, after: Self.finish).map(\.nominal) == [Self.finish + .minutes(5)])
        #expect(rule.preview(0, after: Self.finish).isEmpty)
        let count = rule.count(after: Self.finish, through: Self.finish + .days(1))
        #expect(count == (1, Self.finish + .minutes(5), false))
        #expect(rule.count(after: Self.finish, through: Self.finish + .minutes(4)) == (0, nil, false))
        #expect(rule.previous(before: Self.finish) == nil)
    }

    @Test("other rules have no delay after completion")
    func others() throws {
        for trigger in [Trigger.every(.seconds(60)), .cron("* * * * *"), .once(at: Self.finish)] {
            #expect(try trigger.rule(zones: .utc).delayAfterCompletion == nil)
        }
    }

    @Test(
        "in words",
        arguments: [
            (Duration.seconds(1), "1 second after each run ends"), (.seconds(90), "90 seconds after each run ends"),
            (.minutes(5), "5 minutes after each run ends"), (.hours(1), "1 hour after each run ends"),
            (.days(2), "2 days after each run ends"),
        ]
    )
    func words(delay: Duration, text: String) throws {
        let rule = try Trigger.afterCompletion(delay).rule(zones: .utc)
        #expect(rule.describe() == text)
        #expect(rule.warnings.isEmpty)
    }

    @Test("delays have the bounds of intervals, and are refused inside a union")
    func refused() {
        for delay in [
            Duration.zero, .seconds(-5), .milliseconds(500), .milliseconds(1500), .seconds(Int64.max),
            .seconds(400 * 366 * 86_400 + 1),
        ] {
            #expect(failure(.afterCompletion(delay))?.code == .interval, "\(delay)")
        }
        #expect(
            failure(.afterCompletion(.milliseconds(1500)))?.message
                == "a delay of 1.5 seconds; write whole seconds, from 1 up to 400 years"
        )
        #expect(failure(.afterCompletion(.seconds(400 * 366 * 86_400))) == nil)
        let union = failure(.union([.every(.seconds(60)), .afterCompletion(.seconds(60))]))
        #expect(union?.code == .bounds)
        #expect(union?.message == "a delay after completion cannot be in a union; make it its own schedule")
    }
}
