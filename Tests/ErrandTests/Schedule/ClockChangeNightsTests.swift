// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Foundation
import Testing

/// The tables of the page "Clock changes".
@Suite("Nights on which clocks change", .timeLimit(.minutes(1)))
struct ClockChangeNightsTests {
    struct Night: Sendable, CustomTestStringConvertible {
        let zone: String
        /// From midnight to midnight on the wall, in UTC.
        let from: String
        let to: String
        let rule: String
        let count: Int
        /// The first ticks, as many as the page says.
        var first: [String] = []

        var testDescription: String { "\(rule) in \(zone) from \(from)" }
    }

    @Test(
        "a rule fires as often as the page says, and when",
        arguments: [
            spring("30 2 * * *", 1, ["2026-03-29T01:00:00Z"]),
            spring(
                "0,15,30,45 2,3 * * *",
                4,
                ["2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z", "2026-03-29T01:30:00Z", "2026-03-29T01:45:00Z"]
            ),
            spring("0 */2 * * *", 11, ["2026-03-28T23:00:00Z", "2026-03-29T02:00:00Z"]),
            spring("0 * * * *", 23),
            spring("*/15 2 * * *", 0),
            autumn("30 2 * * *", 1, ["2026-10-25T00:30:00Z"]),
            autumn("0 */2 * * *", 13, ["2026-10-24T22:00:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"]),
            autumn("0 * * * *", 25),
            autumn("*/15 2 * * *", 8, ["2026-10-25T00:00:00Z"]),
            howeSpring("30 2 * * *", 1, ["2026-10-03T15:30:00Z"]),
            howeSpring("15 2 * * *", 1, ["2026-10-03T15:30:00Z"]),
            howeSpring("0 * * * *", 23, ["2026-10-03T13:30:00Z", "2026-10-03T14:30:00Z", "2026-10-03T16:00:00Z"]),
            howeSpring("*/15 2 * * *", 2, ["2026-10-03T15:30:00Z", "2026-10-03T15:45:00Z"]),
            howeAutumn("45 1 * * *", 1, ["2026-04-04T14:45:00Z"]),
            howeAutumn("30 2 * * *", 1, ["2026-04-04T16:00:00Z"]),
            howeAutumn("0 * * * *", 24, ["2026-04-04T13:00:00Z", "2026-04-04T14:00:00Z", "2026-04-04T15:30:00Z"]),
            howeAutumn("*/15 2 * * *", 4, ["2026-04-04T15:30:00Z"]),
            howeAutumn("*/15 1 * * *", 6, ["2026-04-04T14:00:00Z"]),
            apia("30 2 * * *", 3, ["2011-12-29T12:30:00Z", "2011-12-30T10:00:00Z", "2011-12-30T12:30:00Z"]),
            apia("0 9 30 12 *", 1, ["2011-12-30T10:00:00Z"]),
            apia("0 * * * *", 48),
            apia("*/15 2 * * *", 8, ["2011-12-29T12:00:00Z"]),
        ]
    )
    func fires(_ night: Night) throws {
        let (from, to) = (try Self.instant(night.from), try Self.instant(night.to))
        let ticks = try Trigger.cron(night.rule, in: night.zone).preview(1000, after: from - .microseconds(1))
            .map(\.nominal).filter { $0 < to }
        #expect(ticks.count == night.count)
        #expect(Array(ticks.prefix(night.first.count)) == (try night.first.map(Self.instant)))
    }

    private static func instant(_ text: String) throws -> Timestamp {
        Timestamp(try Date(text, strategy: .iso8601))
    }

    private static func spring(_ rule: String, _ count: Int, _ first: [String] = []) -> Night {
        Night(
            zone: "Europe/Berlin",
            from: "2026-03-28T23:00:00Z",
            to: "2026-03-29T22:00:00Z",
            rule: rule,
            count: count,
            first: first
        )
    }

    private static func autumn(_ rule: String, _ count: Int, _ first: [String] = []) -> Night {
        Night(
            zone: "Europe/Berlin",
            from: "2026-10-24T22:00:00Z",
            to: "2026-10-25T23:00:00Z",
            rule: rule,
            count: count,
            first: first
        )
    }

    private static func howeSpring(_ rule: String, _ count: Int, _ first: [String] = []) -> Night {
        Night(
            zone: "Australia/Lord_Howe",
            from: "2026-10-03T13:30:00Z",
            to: "2026-10-04T13:00:00Z",
            rule: rule,
            count: count,
            first: first
        )
    }

    private static func howeAutumn(_ rule: String, _ count: Int, _ first: [String] = []) -> Night {
        Night(
            zone: "Australia/Lord_Howe",
            from: "2026-04-04T13:00:00Z",
            to: "2026-04-05T13:30:00Z",
            rule: rule,
            count: count,
            first: first
        )
    }

    /// 29 and 31 December: there is no day between.
    private static func apia(_ rule: String, _ count: Int, _ first: [String] = []) -> Night {
        Night(
            zone: "Pacific/Apia",
            from: "2011-12-29T10:00:00Z",
            to: "2011-12-31T10:00:00Z",
            rule: rule,
            count: count,
            first: first
        )
    }
}
