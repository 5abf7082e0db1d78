// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Foundation
import Testing

@Suite("Zones of Foundation", .timeLimit(.minutes(1)))
struct CronFoundationZonesTests {
    @Test("a name of the IANA list is a zone, others are told what was meant")
    func names() {
        for name in ["Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3", "UTC"] {
            #expect(ZoneCatalog.foundation.rules(name)?.identifier == name, "\(name)")
        }
        for name in ["", "Europe/Berlni", "europe/berlin", "GMT+3", "+03:00", "Mars/Olympus", "../etc/passwd"] {
            #expect(ZoneCatalog.foundation.rules(name) == nil, "\(name)")
        }
        let error = #expect(throws: TriggerError.self) {
            try Trigger.cron("0 9 * * *", in: "europe/berlin").rule()
        }
        #expect(error?.message == #"zone "europe/berlin" unknown; did you mean Europe/Berlin?"#)
    }

    @Test("a preview of the documentation, from a date")
    func preview() throws {
        let start = Timestamp(microseconds: 1_774_699_200_000_000)
        let ticks = try Trigger.cron("30 2 * * *", in: "Europe/Berlin").preview(1, after: start)
        #expect(ticks.map(\.local) == ["Sun 29 Mar 2026 03:00:00 +02:00"])
        #expect(ticks[0].notes == ["moved from 02:30: the clock skips 02:00-03:00"])
        #expect(try Trigger.every(.seconds(60)).preview(2).count == 2)
        let date = Date(timeIntervalSince1970: 2_000_000_000)
        #expect(try Trigger.once(at: date).preview(2, after: start).map(\.nominal) == [Timestamp(date)])
        #expect(try Trigger.cron("H 2 * * *").describe(for: "nightly-report") == "At 02:27 every day")
    }
}
