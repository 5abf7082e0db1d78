// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Sends the welcome mail.
///
/// A job and not a background task, because it must not be lost.
struct WelcomeEmail: Job {
    static let name: JobName = "welcome-email"
    static let retry = RetryPolicy.attempts(12)
    static let timeout: Duration? = .seconds(30)

    let registration: Registration

    static func register(in handlers: inout JobHandlers, mailer: Mailer) {
        handlers.add(WelcomeEmail.self) { job, context in
            try await mailer.welcome(
                job.registration,
                id: context.id.description,
                date: context.record.createdAt
            )
        }
    }
}
