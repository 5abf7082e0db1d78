// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// How often a second a rule says its next time.
struct RuleFigures {
    let scale: Scale

    private static let triggers: [(name: String, trigger: Trigger)] = [
        ("* * * * * *", .cron("* * * * * *")),
        ("*/15 9-17 * * MON-FRI, Berlin", .cron("*/15 9-17 * * MON-FRI", in: "Europe/Berlin")),
        ("30 2 * * *, Berlin", .cron("30 2 * * *", in: "Europe/Berlin")),
        ("0 0 LW * *, New York", .cron("0 0 LW * *", in: "America/New_York")),
        ("0 0 29 2 *", .cron("0 0 29 2 *")),
        ("every 300 s", .every(.seconds(300))),
    ]

    func measure() throws -> [Figure] {
        let count = scale.jobs(100_000)
        return try Self.triggers.map { name, trigger in
            let rule = try trigger.rule(for: "bench")
            return Figure("next of \(name)", try (0..<scale.runs).map { _ in try rate(of: rule, count) }, "1/s")
        }
    }

    /// Each call asks for the time after the one that the last call found; at the end of time it begins anew.
    private func rate(of rule: ScheduleRule, _ count: Int) throws -> Double {
        let begin = Timestamp(microseconds: 1_700_000_000_000_000)
        let end = begin + .days(50 * 365)
        var instant = begin
        let clock = SystemClock.shared
        let start = clock.uptime
        for _ in 0..<count {
            guard let next = rule.next(after: instant), next > instant else {
                throw VoidFigure("a rule of the benchmark ended at \(instant)")
            }
            instant = next < end ? next : begin
        }
        return Double(count) / (clock.uptime - start).inSeconds
    }
}
