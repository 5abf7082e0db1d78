// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandHummingbird
import Foundation
import Hummingbird

/// `POST /register`: answers at once, mails afterwards.
struct RegisterRoutes: Sendable {
    let mailer: Mailer
    let clock: any ErrandClock

    private struct Answer: Encodable {
        let email: String
        let welcome: JobID
    }

    func add(to router: Router<BasicRequestContext>) {
        router.post("register") { request, context in
            let registration = try Self.registration(try await request.fields())
            // After the response, in memory: nobody is hurt when a crash loses the notice to the team.
            let now = clock.now
            let notice = Chance.system.jobID(at: now).description
            context.background.add("crm", attempts: 3) {
                // Id and date are the same at every attempt: it is one mail, however often it is sent.
                try await mailer.notice(registration, id: notice, date: now)
            }
            // Durable, stored before the response leaves: this mail must arrive.
            let welcome = context.background.enqueue(WelcomeEmail(registration: registration))
            return try Response.json(
                Answer(email: registration.email, welcome: welcome),
                status: .created,
                headers: [.location: "/jobs/\(welcome)"]
            )
        }
    }

    /// Checks a registration field by field.
    private static func registration(_ body: FieldReader) throws -> Registration {
        var fields = body
        let email = fields.text("email", length: 3...254, check: EmailAddress.problem)
        let name = fields.text("name", length: 1...100, check: nameProblem)
        // Accounts are not what this example is about: a password is checked and not kept.
        _ = fields.optionalText("password", length: 8...200)
        try fields.finish()
        return Registration(email: email, name: name)
    }

    private static func nameProblem(_ name: String) -> String? {
        if name.allSatisfy(\.isWhitespace) { return "must not be blank" }
        let hasControl = name.unicodeScalars.contains { $0.properties.generalCategory == .control }
        return hasControl ? "must not contain line ends or other control characters" : nil
    }
}
