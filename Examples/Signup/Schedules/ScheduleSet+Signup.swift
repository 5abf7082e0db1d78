// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

extension ScheduleSet {
    /// The service's own schedules. Every process has them, so that any of them decides a tick, and a web process can
    /// make the job of one that somebody triggers.
    static func signup() throws -> ScheduleSet {
        try ScheduleSet {
            // Each job is made for its tick: what it reports on is the time since the tick before, however late it runs.
            ScheduleDefinition("nightly-report", .cron("30 2 * * *", in: "Europe/Berlin")) { tick in
                NightlyReport(since: tick.previous ?? tick.nominal - .days(1), until: tick.nominal)
            }
            // The same job each time. A beat that was missed is of no use later.
            ScheduleDefinition(
                "heartbeat",
                .every(.seconds(10)),
                policy: .with {
                    $0.catchUp = .skip
                    $0.expiresAfter = .seconds(10)
                },
                job: Heartbeat()
            )
        }
    }
}
