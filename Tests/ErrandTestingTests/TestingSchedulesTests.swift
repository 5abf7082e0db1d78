// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

// What the page "Scheduling" shows of tests, run.

private struct NightlyReport: Job {
    static let name: JobName = "nightly-report"
    let until: Timestamp
}

extension ScheduleSet {
    fileprivate static func app() throws -> ScheduleSet {
        try ScheduleSet {
            ScheduleDefinition("nightly-report", .cron("30 3 * * *", in: "Europe/Berlin")) { tick in
                NightlyReport(until: tick.nominal)
            }
        }
    }
}

// snippet.check
@Test("the schedules mean what they say")
func check() throws {
    #expect(try ScheduleSet.app().check().isEmpty)
}
// snippet.end

// snippet.nights
@Test("a report is made each night, but not while the last one is not done")
func nights() async throws {
    let schedules = try ScheduleSet.app()
    let harness = ScheduleHarness(schedules)
    try await harness.start()
    let decisions = await harness.advance(by: .hours(24))
    #expect(decisions.map(\.decision) == [.enqueued])

    let second = await harness.advance(by: .hours(24))
    #expect(second.map(\.decision) == [.skippedOverlap])

    try await harness.finishJobs()
    let third = await harness.advance(by: .hours(24))
    #expect(third.map(\.decision) == [.enqueued])
}
// snippet.end
