// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Testing

@Suite("Fuzzed cron expressions", .timeLimit(.minutes(30)))
struct CronFuzzTests {
    static let pieces = [
        "*", "*/", "/", "-", ",", "#", "?", "L", "LW", "W", "H", "H(", ")", "H/", "0", "1", "5", "7", "12", "29", "31",
        "59",
        "60", "99", "2026", "2199", "18446744073709551616", "MON", "fri", "JAN", "dec", "FRIL", " ", " ", " ", " ",
        "  ", "\t",
        "@", "@daily", "@every", "CRON_TZ=", "UTC", "\u{0}", "é", "٣", "🕰",
        "\u{301}", "\r\n", "%", "~", ".", "+", "a",
    ]

    @Test("acceptance 20: no text traps or hangs, and what is accepted fires (CRON_FUZZ=1000000 CRON_SEED=n for more)")
    func fuzz() throws {
        let count = TestZones.setting("CRON_FUZZ") ?? 100_000
        let seed = UInt64(TestZones.setting("CRON_SEED") ?? 2026)
        var generator = SeededGenerator(seed: seed)
        var accepted = 0
        for number in 0..<count {
            let text = Self.text(using: &generator)
            do throws(CronError) {
                let cron = try CronExpression(text, schedule: "fuzz")
                accepted += 1
                let next = cron.next(after: Timestamp(microseconds: -1))
                // Years are listed from 1970 on.
                if next == nil { Issue.record("seed \(seed), text \(number): \(text.debugDescription) never fires") }
                if cron.describe().isEmpty { Issue.record("seed \(seed), text \(number): no words") }
                _ = cron.warnings
            } catch {
                if error.column < 1 || error.description.isEmpty {
                    Issue.record("seed \(seed), text \(number): \(text.debugDescription) has no column")
                }
            }
        }
        print("cron fuzz: \(count) texts, \(accepted) accepted, seed \(seed)")
        #expect(accepted > count / 100, "seed \(seed)")
    }

    /// Pieces at random, or five to seven fields of likely pieces, some with random bytes in them.
    private static func text(using generator: inout SeededGenerator) -> String {
        switch Int.random(in: 0..<4, using: &generator) {
        case 0:
            let length = Int.random(in: 0..<24, using: &generator)
            return (0..<length).map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
        case 1:
            let bytes = (0..<Int.random(in: 0..<40, using: &generator))
                .map { _ in UInt8.random(in: 0...255, using: &generator) }
            return String(decoding: bytes, as: UTF8.self)
        default:
            let fields = (0..<Int.random(in: 5...7, using: &generator)).map { _ in field(using: &generator) }
            return fields.joined(separator: " ")
        }
    }

    private static func field(using generator: inout SeededGenerator) -> String {
        let items = (0..<Int.random(in: 1...3, using: &generator))
            .map { _ -> String in
                let (a, b) = (Int.random(in: 0..<32, using: &generator), Int.random(in: 0..<32, using: &generator))
                switch Int.random(in: 0..<12, using: &generator) {
                case 0...3: return "*"
                case 4: return "*/\(a)"
                case 5, 6: return "\(a % 13)"
                case 7: return "\(a % 13)-\(b % 13)"
                case 8: return "\(a)-\(b)/\(a)"
                case 9: return "H/\(a)"
                case 10: return "\(a % 8)#\(b % 7)"
                default: return pieces.randomElement(using: &generator) ?? ""
                }
            }
        return items.joined(separator: ",")
    }
}
