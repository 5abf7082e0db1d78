// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation

/// Zones of Foundation for tests, and times written as text.
enum TestZones {
    static func named(_ identifier: String) -> ZoneRules? {
        guard let zone = TimeZone(identifier: identifier) else { return nil }
        return ZoneRules(identifier: identifier) { zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double($0))) }
    }

    static let catalog = ZoneCatalog(
        rules: { named($0) },
        identifiers: { TimeZone.knownTimeZoneIdentifiers }
    )

    /// The instant of `2026-03-29T01:00:00Z`.
    static func instant(_ text: String) -> Timestamp {
        let date = try? Date(text, strategy: .iso8601)
        return Timestamp(microseconds: Int64((date ?? .distantPast).timeIntervalSince1970) * 1_000_000)
    }

    /// `2026-03-29T01:00:00Z`.
    static func text(_ instant: Timestamp) -> String {
        Date(timeIntervalSince1970: Double(instant.microseconds / 1_000_000)).formatted(.iso8601)
    }

    /// A number from the environment, for the long form of a test.
    static func setting(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap(Int.init) }
}

extension CronExpression {
    /// The next instants after this one, as text.
    func ticks(_ count: Int, after start: String, in zone: ZoneRules = .utc, changes: ClockChanges = .standard)
        -> [String]
    {
        var found: [String] = []
        var from = TestZones.instant(start)
        while found.count < count, let next = next(after: from, in: zone, clockChanges: changes) {
            found.append(TestZones.text(next))
            from = next
        }
        return found
    }

    /// How many instants lie in a span of time.
    func count(from start: String, before end: String, in zone: ZoneRules) -> Int {
        var (count, from) = (0, TestZones.instant(start) - .microseconds(1))
        while let next = next(after: from, in: zone), next < TestZones.instant(end) {
            (count, from) = (count + 1, next)
        }
        return count
    }
}
