// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("Refused cron expressions", .timeLimit(.minutes(1)))
struct CronRefusalTests {
    struct Example: Sendable, CustomTestStringConvertible {
        let text: String
        let code: CronError.Code
        let column: Int
        let field: String?
        var testDescription: String { text }

        init(_ text: String, _ code: CronError.Code, _ column: Int, _ field: String? = nil) {
            (self.text, self.code, self.column, self.field) = (text, code, column, field)
        }
    }

    static let examples: [Example] = [
        Example("", .fieldCount, 1), Example("* * * *", .fieldCount, 8), Example("* * * * * * * *", .fieldCount, 15),
        Example("61 * * * *", .outOfRange, 1, "minute"), Example("60 * * * *", .outOfRange, 1, "minute"),
        Example("0 24 * * *", .outOfRange, 3, "hour"), Example("0 0 0 * *", .outOfRange, 5, "day-of-month"),
        Example("0 0 32 * *", .outOfRange, 5, "day-of-month"), Example("0 0 * 13 *", .outOfRange, 7, "month"),
        Example("0 0 * * 8", .outOfRange, 9, "day-of-week"), Example("0 0 0 * * * 1969", .outOfRange, 13, "year"),
        Example("0 0 0 * * * 2200", .outOfRange, 13, "year"), Example("0 0 0 * * * 2030-2026", .outOfRange, 13, "year"),
        Example("1-60 * * * *", .outOfRange, 3, "minute"), Example("0 0 * * 5#6", .outOfRange, 11, "day-of-week"),
        Example("0 0 * * 5#0", .outOfRange, 11, "day-of-week"), Example("0 0 L-31 * *", .outOfRange, 7, "day-of-month"),
        Example("99999999999999999999999 * * * *", .outOfRange, 1, "minute"),
        Example("*/0 * * * *", .badStep, 3, "minute"), Example("*/ * * * *", .badStep, 3, "minute"),
        Example("*/-5 * * * *", .badStep, 3, "minute"), Example("5/x * * * *", .badStep, 3, "minute"),
        Example("1,,2 * * * *", .emptyItem, 3, "minute"), Example("1, * * * *", .emptyItem, 3, "minute"),
        Example(", * * * *", .emptyItem, 1, "minute"), Example("*/1.5 * * * *", .unexpected, 4, "minute"),
        Example("1-2-3 * * * *", .unexpected, 4, "minute"), Example("-5 * * * *", .unexpected, 1, "minute"),
        Example("5- * * * *", .unexpected, 3, "minute"), Example("** * * * *", .unexpected, 2, "minute"),
        Example("? * * * *", .unexpected, 1, "minute"), Example("0 0 ?/2 * *", .unexpected, 5, "day-of-month"),
        Example("0 0 L * L", .unexpected, 9, "day-of-week"),
        Example("0 0 * * MON--FRI", .unexpected, 13, "day-of-week"),
        Example("0 0 * L *", .badName, 7, "month"), Example("MON * * * *", .badName, 1, "minute"),
        Example("0 0 * JANUARY *", .badName, 7, "month"), Example("0 0 * * MONDAY", .badName, 9, "day-of-week"),
        Example("٣ * * * *", .unexpected, 1, "minute"), Example("0 ５ * * *", .unexpected, 3, "hour"),
        Example("é é é é 99", .unexpected, 1, "minute"), Example("0 0 * * \u{0}", .unexpected, 9, "day-of-week"),
        Example("@reboot", .badMacro, 1), Example("@every 90s", .badMacro, 1), Example("@weakly", .badMacro, 1),
        Example("@daily *", .badMacro, 1), Example("H * * * *", .badHash, 1, "minute"),
        Example("CRON_TZ= * * * * *", .badZone, 1), Example("0 0 31 4 *", .neverFires, 1),
        Example("0 0 30 2 *", .neverFires, 1), Example("0 0 */20 * 1L", .neverFires, 1),
        Example("0 0 0 29 2 * 2026,2027,2100", .neverFires, 1),
    ]

    @Test("a mistake is told with its field and column, and what to write", arguments: examples)
    func refused(example: Example) {
        let error = #expect(throws: CronError.self) { try CronExpression(example.text) }
        #expect(error?.code == example.code)
        #expect(error?.column == example.column)
        #expect(error?.field == example.field)
        if let error, error.code != .neverFires, error.code != .outOfRange { #expect(error.hint != nil) }
    }

    @Test("the messages are those of the documentation")
    func words() {
        func message(_ text: String) -> String? {
            do throws(CronError) {
                _ = try CronExpression(text)
                return nil
            } catch {
                return error.description
            }
        }
        #expect(message("0 0 31 4 *") == #""0 0 31 4 *": never fires: April has no day 31"#)
        #expect(message("61 * * * *") == #""61 * * * *": column 1: minute 61 is outside 0-59"#)
        #expect(message("60 * * * *") == #""60 * * * *": column 1: minute 60 is outside 0-59; write 0"#)
        #expect(message("0 0 * * MONDAY") == #""0 0 * * MONDAY": column 9: "MONDAY" is no day-of-week; write MON"#)
    }

    @Test(
        "H in a year, open brackets and ranges that fall are refused with an id too",
        arguments: [
            "0 0 0 * * * H", "H(1 * * * *", "H(1-5 * * * *", "H(9-5) * * * *", "H() * * * *", "H(1-99) * * * *",
            "HH * * * *", "H/0 * * * *",
        ]
    )
    func hash(text: String) {
        #expect(throws: CronError.self) { try CronExpression(text, schedule: "nightly-report") }
    }

    @Test("acceptance 20: the longest texts, right or wrong, are answered within 5 ms")
    func longest() {
        let items = ["*/1", "H/2", "1W", "L-1", "1-2/1", "5#1", "1970-2199/2", "*", ",", "٣", "9"]
        for item in items {
            for place in 0..<7 {
                var fields = ["0", "0", "0", "*", "*", "*", "*"]
                fields[place] = String(repeating: item + ",", count: (990 / (item.utf8.count + 1))) + item
                let text = fields.joined(separator: " ")
                var least = Duration.seconds(1)
                for _ in 0..<5 {
                    let start = ContinuousClock.now
                    _ = try? CronExpression(text, schedule: "x")
                    least = min(least, ContinuousClock.now - start)
                }
                #expect(least < .milliseconds(5), "\(item) in field \(place)")
            }
        }
        let error = #expect(throws: CronError.self) { try CronExpression(String(repeating: "*", count: 1_000_000)) }
        #expect(error?.code == .tooLong)
    }
}
