// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Foundation
import Testing

/// The night around one change of one zone's offset, step by step: real instants and what the wall shows.
struct WalkedNight {
    let zone: String
    let start: Int64
    let step: Int64
    /// The wall-clock time at each step, in seconds since 1970 as read from the wall.
    let locals: [Int64]
    /// The first instant at which the wall shows a time.
    private let firsts: [Int64: Int64]
    private let dates: [Int64: (Int, Int, Int)]

    init(zone: TimeZone, around change: Int64, reach: Int64, step: Int64) {
        let aligned = change - change % step
        start = aligned - reach
        self.zone = zone.identifier
        self.step = step
        var locals: [Int64] = []
        var firsts: [Int64: Int64] = [:]
        var dates: [Int64: (Int, Int, Int)] = [:]
        for instant in stride(from: start, through: aligned + reach, by: Int(step)) {
            let local = instant + Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant))))
            locals.append(local)
            if firsts[local] == nil { firsts[local] = instant }
        }
        for local in stride(from: (locals.min() ?? 0) - 86_400, through: (locals.max() ?? 0) + 86_400, by: 86_400) {
            let day = Int((Double(local) / 86_400).rounded(.down))
            dates[Int64(day)] = WalkedDate.date(ofDay: day)
        }
        (self.locals, self.firsts, self.dates) = (locals, firsts, dates)
    }

    /// The instants that fire, by walking: fixed times are looked up on the wall, others match what it shows.
    func ticks(of rule: WalkedRule) -> [Int64] {
        let days = dates.mapValues { rule.fires($0.0, $0.1, $0.2) }
        func fires(_ local: Int64) -> Bool {
            let second = Int(local % 86_400 + (local < 0 && local % 86_400 != 0 ? 86_400 : 0))
            guard rule.hours[second / 3600], rule.minutes[second / 60 % 60], rule.seconds[second % 60] else {
                return false
            }
            return days[(local - Int64(second)) / 86_400] ?? false
        }
        guard rule.isFixed else {
            return locals.indices.filter { fires(locals[$0]) }.map { start + Int64($0) * step }
        }
        var found: Set<Int64> = []
        var previous = locals[0] - step
        var highest = previous
        for (index, local) in locals.enumerated() {
            let instant = start + Int64(index) * step
            // What the wall skipped between two steps fires now, at the first instant after it.
            if local > previous + step {
                var skipped = previous + step
                while skipped < local {
                    if skipped > highest, firsts[skipped] == nil, fires(skipped) { found.insert(instant) }
                    skipped += step
                }
            }
            if firsts[local] == instant, fires(local) { found.insert(instant) }
            previous = local
            highest = max(highest, local)
        }
        return found.sorted()
    }
}

@Suite("Cron rules against a walker", .timeLimit(.minutes(60)))
struct CronWalkerTests {
    static let zones = [
        "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia", "Asia/Tehran",
        "Africa/Casablanca", "America/St_Johns", "Asia/Pyongyang", "Antarctica/Troll", "America/Caracas",
        "Asia/Kathmandu",
    ]

    /// Changes of a zone's offset from 1970 through 2037, found by asking for every six hours.
    static func changes(of zone: TimeZone) -> [Int64] {
        func offset(_ second: Int64) -> Int { zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(second))) }
        var found: [Int64] = []
        var last = offset(0)
        for end in stride(from: Int64(21_600), to: 2_145_916_800, by: 21_600) {
            let next = offset(end)
            if next != last {
                var (low, high) = (end - 21_600, end)
                while high - low > 1 {
                    let middle = (low + high) / 2
                    if offset(middle) == last { low = middle } else { high = middle }
                }
                found.append(high)
            }
            last = next
        }
        return found
    }

    @Test(
        "ticks around clock changes are where walking minute by minute finds them (CRON_WALK=1: every zone and change)"
    )
    func minutes() throws {
        let isLong = TestZones.setting("CRON_WALK") != nil
        let seed = UInt64(TestZones.setting("CRON_SEED") ?? 5)
        let zones = isLong ? TimeZone.knownTimeZoneIdentifiers.sorted() : Self.zones
        let count = TestZones.setting("CRON_WALK_RULES") ?? (isLong ? 200 : 25)
        var generator = SeededGenerator(seed: seed)
        let rules = Self.rules(count, withSeconds: false, using: &generator)
        let start = Date()
        var (nights, comparisons, ticks) = (0, 0, 0)

        for identifier in zones {
            guard let zone = TimeZone(identifier: identifier), let table = TestZones.named(identifier) else { continue }
            var all = Self.changes(of: zone)
            if !isLong { all = Array(all.shuffled(using: &generator).prefix(4)) }
            for change in all {
                // Offsets that are no whole minutes need finer steps: Liberia until 1972.
                let isWhole = [change - 1, change]
                    .allSatisfy {
                        zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double($0))) % 60 == 0
                    }
                let night = WalkedNight(zone: zone, around: change, reach: 93_600, step: isWhole ? 60 : 30)
                for (rule, cron) in rules {
                    ticks += compare(cron, rule, night, table, seed: seed)
                    comparisons += 1
                }
                nights += 1
            }
        }
        let time = Date().timeIntervalSince(start).rounded()
        print(
            "cron walker: \(zones.count) zones, \(nights) nights, \(rules.count) rules, \(comparisons) cases,",
            "\(ticks) ticks compared in \(time) s, seed \(seed)"
        )
        #expect(comparisons >= (isLong ? 1_000_000 : 1000) || TestZones.setting("CRON_WALK_RULES") != nil)
        #expect(ticks > comparisons)
    }

    @Test("with seconds, every tick of the hours around a change is where walking second by second finds it")
    func seconds() throws {
        let seed = UInt64(TestZones.setting("CRON_SEED") ?? 6)
        var generator = SeededGenerator(seed: seed)
        let rules = Self.rules(8, withSeconds: true, using: &generator)
        var (comparisons, ticks) = (0, 0)
        for identifier in ["Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo"] {
            let zone = try #require(TimeZone(identifier: identifier))
            let table = try #require(TestZones.named(identifier))
            for change in Self.changes(of: zone).shuffled(using: &generator).prefix(2) {
                let night = WalkedNight(zone: zone, around: change, reach: 5400, step: 1)
                for (rule, cron) in rules {
                    ticks += compare(cron, rule, night, table, seed: seed)
                    comparisons += 1
                }
            }
        }
        print("cron walker: \(comparisons) cases with seconds, \(ticks) ticks compared, seed \(seed)")
        #expect(ticks > comparisons)
    }

    @Test(
        "the offsets of a zone are those of Foundation, at random instants through 2500",
        arguments: CronWalkerTests.zones
    )
    func offsets(identifier: String) throws {
        let zone = try #require(TimeZone(identifier: identifier))
        let table = try #require(TestZones.named(identifier))
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<5000 {
            let second = Int64.random(in: 0..<16_725_225_600, using: &generator)
            let expected = zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(second)))
            let found = table.offset(at: Timestamp(microseconds: second * 1_000_000))
            #expect(found == .seconds(expected), "\(identifier) at \(second)")
        }
    }

    private static func rules(
        _ count: Int,
        withSeconds: Bool,
        using generator: inout SeededGenerator
    ) -> [(WalkedRule, CronExpression)] {
        var rules: [(WalkedRule, CronExpression)] = []
        while rules.count < count {
            let rule = WalkedRule.random(withSeconds: withSeconds, using: &generator)
            // Day 31 of short months and the like: refusals have their own tests.
            guard let cron = try? CronExpression(rule.text) else { continue }
            rules.append((rule, cron))
        }
        return rules
    }

    /// Compares the ticks of one rule on one night and returns how many there were.
    private func compare(
        _ cron: CronExpression,
        _ rule: WalkedRule,
        _ night: WalkedNight,
        _ zone: ZoneRules,
        seed: UInt64
    ) -> Int {
        let expected = night.ticks(of: rule)
        var found: [Int64] = []
        var from = Timestamp(microseconds: night.start * 1_000_000 - 1)
        let end = night.start + Int64(night.locals.count) * night.step
        while let next = cron.next(after: from, in: zone), next.microseconds < end * 1_000_000 {
            found.append(next.microseconds / 1_000_000)
            from = next
        }
        if found != expected {
            let wrong = Set(found).symmetricDifference(expected).min() ?? 0
            Issue.record("\(rule.text) in \(night.zone): differs at \(wrong), seed \(seed), night from \(night.start)")
        }
        return found.count
    }
}
