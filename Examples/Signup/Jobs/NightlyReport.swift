// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Mails to the team how many people registered since the last report.
struct NightlyReport: Job {
    /// What is kept as the job's result.
    struct Output: Codable, Sendable, Hashable {
        var registrations: Int
    }

    static let name: JobName = "nightly-report"
    static let retry = RetryPolicy.attempts(12)

    /// The last instant that belongs to the report before.
    let since: Timestamp
    /// The last instant that belongs to this one.
    let until: Timestamp

    static func register(in handlers: inout JobHandlers, jobs: JobClient, mailer: Mailer) {
        handlers.add(NightlyReport.self) { job, context in
            let instant = Duration.microseconds(1)
            let filter = JobFilter(
                names: [WelcomeEmail.name],
                createdFrom: job.since + instant,
                createdBefore: job.until + instant
            )
            let registrations = try await jobs.count(filter).value
            // The job of a tick has the same id whoever makes it: it is one mail, however often it is sent.
            try await mailer.report(
                "\(registrations) registrations from \(job.since.text) to \(job.until.text).",
                id: context.id.description,
                date: context.record.createdAt
            )
            return Output(registrations: registrations)
        }
    }
}
