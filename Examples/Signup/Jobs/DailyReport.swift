// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Foundation

/// Counts the registrations of a day.
///
/// Unique by day: asking again within ten minutes gets the same job.
struct DailyReport: Job {
    /// What is kept as the job's result.
    struct Output: Codable, Sendable, Hashable {
        var day: String
        var registrations: Int
        var welcomed: Int
    }

    static let name: JobName = "daily-report"
    static let unique: Uniqueness<Self>? = .by(scope: .forTTL(.minutes(10)), \.day)

    /// The day in UTC, as `2026-11-21`.
    let day: String

    /// The day that this text names; `nil` for any other text.
    static func start(of day: String) -> Date? {
        guard day.utf8.count == 10, let date = try? format.parse(day), format.format(date) == day else { return nil }
        return date
    }

    static func register(in handlers: inout JobHandlers, jobs: JobClient) {
        handlers.add(DailyReport.self) { job, _ in
            guard let start = start(of: job.day) else { throw JobControl.fail(reason: "'\(job.day)' is not a day") }
            let from = Timestamp(start)
            var filter = JobFilter(names: [WelcomeEmail.name], createdFrom: from, createdBefore: from + .hours(24))
            let registrations = try await jobs.count(filter).value
            filter.states = [.succeeded]
            return Output(day: job.day, registrations: registrations, welcomed: try await jobs.count(filter).value)
        }
    }

    private static let format = Date.ISO8601FormatStyle(timeZone: .gmt).year().month().day()
}
