// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Foundation
import Testing

@Suite("Fuzzed JSON of triggers", .timeLimit(.minutes(30)))
struct TriggerJSONFuzzTests {
    static let pieces = [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "null", "true", "0", "-1", "1.5", "1e9", "9223372036854775807",
        "-9223372036854775808", "99999999999999999999", "\"1.5s\"", "\"2026-02-30\"", "\"25:00\"", "\"lastDay\"",
        "\"every\":", "\"union\":[", "\"either\":[", "\"days\":", "\"limit\":", "\"start\":", "\u{0}", "é", "\u{FF}",
    ]

    @Test("no bytes trap, and what is read is written as what is read again (TRIGGER_FUZZ=1000000 TRIGGER_SEED=n)")
    func fuzz() throws {
        let count = TestZones.setting("TRIGGER_FUZZ") ?? 20_000
        let seed = UInt64(TestZones.setting("TRIGGER_SEED") ?? 2026)
        var generator = SeededGenerator(seed: seed)
        let texts =
            TriggerJSON.stored.map { Array($0.1.utf8) }
            + TriggerJSON.days.map { Array(#"{"calendar":\#($0.1),"times":["17:00"]}"#.utf8) }
        let decoder = JSONDecoder()
        var (read, checked) = (0, 0)
        for number in 0..<count {
            let bytes = Self.mutated(texts.randomElement(using: &generator) ?? [], using: &generator)
            guard let trigger = try? decoder.decode(Trigger.self, from: Data(bytes)) else { continue }
            read += 1
            let again = try TriggerJSON.trigger(try TriggerJSON.text(trigger))
            if again != trigger {
                Issue.record("seed \(seed), text \(number): \(String(decoding: bytes, as: UTF8.self).debugDescription)")
            }
            guard let rule = try? trigger.rule(for: "fuzz", zones: .utc) else { continue }
            checked += 1
            _ = (rule.describe(), rule.warnings, rule.preview(2, after: TriggerJSON.start))
            _ = (rule.previous(before: .distantFuture), rule.count(after: .epoch, through: .distantFuture, limit: 5))
        }
        print("trigger fuzz: \(count) texts, \(read) read, \(checked) rules, seed \(seed)")
        #expect(read > count / 100 && checked > count / 200, "seed \(seed)")
    }

    /// One to four changes: bytes replaced, removed, repeated, and pieces put in.
    private static func mutated(_ bytes: [UInt8], using generator: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
            let from = Int.random(in: 0..<bytes.count, using: &generator)
            let to = min(from + Int.random(in: 0..<8, using: &generator), bytes.count)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: bytes[from] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes[from] = UInt8.random(in: 0x20...0x7E, using: &generator)
            case 2: bytes.removeSubrange(from..<to)
            case 3: bytes.insert(contentsOf: bytes[from..<to], at: from)
            case 4: bytes[from] = UInt8.random(in: 0x30...0x39, using: &generator)
            default: bytes.insert(contentsOf: Array((pieces.randomElement(using: &generator) ?? "").utf8), at: from)
            }
        }
        return bytes
    }
}
