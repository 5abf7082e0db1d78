// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Mails somebody at the times they chose.
struct Reminder: Job {
    static let name: JobName = "reminder"
    static let retry = RetryPolicy.attempts(12)
    static let timeout: Duration? = .seconds(30)

    let email: String

    static func register(in handlers: inout JobHandlers, mailer: Mailer) {
        handlers.add(Reminder.self) { job, context in
            // Not when it is run but what it is for.
            let time = context.tick?.nominal ?? context.record.createdAt
            try await mailer.remind(job.email, of: time, id: context.id.description, date: context.record.createdAt)
        }
    }
}
