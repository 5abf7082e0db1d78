// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

extension ZoneCatalog {
    /// The IANA zones of Foundation, each read once per process and kept.
    ///
    /// Names must be spelled as in the IANA list. Foundation brings its own data on Linux, so an image without
    /// `/usr/share/zoneinfo` has every zone too.
    public static let foundation = ZoneCatalog(
        rules: { FoundationZones.shared.rules(for: $0) },
        identifiers: { TimeZone.knownTimeZoneIdentifiers }
    )
}

/// Zones already read. There are about six hundred, which bounds the table.
private final class FoundationZones: Sendable {
    static let shared = FoundationZones()

    private let known = Mutex<[String: ZoneRules]>([:])

    func rules(for identifier: String) -> ZoneRules? {
        // Foundation calls it GMT.
        if identifier == "UTC" { return .utc }
        if let rules = known.withLock({ $0[identifier] }) { return rules }
        // GMT+3 and the like are fixed offsets that Foundation makes up.
        guard identifier.contains("/") || !identifier.contains(where: { "+-".contains($0) }),
            let zone = TimeZone(identifier: identifier), zone.identifier == identifier
        else { return nil }
        let rules = ZoneRules(identifier: identifier) { second in
            zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(second)))
        }
        known.withLock { $0[identifier] = rules }
        return rules
    }
}
