// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

// Rules of schedules: what they say and when they would fire.

import Errand

func clockChanges(start: Timestamp) throws {
    // snippet.preview
    let nightly = Trigger.cron("30 2 * * *", in: "Europe/Berlin")
    for tick in try nightly.preview(5, after: start) {
        print(tick.local, tick.notes)
    }
    // Sun 29 Mar 2026 03:00:00 +02:00 ["moved from 02:30: the clock skips 02:00-03:00"]
    // snippet.end

    // snippet.choose
    let exact = Trigger.cron("30 2 * * *", in: "Europe/Berlin", clockChanges: ClockChanges(gap: .skip, overlap: .both))
    // snippet.end
    print(try exact.describe())
}

func days() {
    // snippet.days
    let paydays: DayRule = .both(.lastWeekday, .weekdays([.monday, .friday]))
    // snippet.end
    print(Trigger.calendar(paydays, at: ["17:00"], in: "America/New_York"))
}
