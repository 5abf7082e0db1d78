// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Writes the mails of this service and hands them to a transport.
struct Mailer: Sendable {
    let transport: any MailTransport
    /// Who the mails are from.
    let from: Mail.Mailbox
    /// Who hears of every registration.
    let team: Mail.Mailbox

    /// Greets somebody who has registered.
    ///
    /// Give the same `id` and `date` at every attempt: then a second delivery is no second mail.
    func welcome(_ registration: Registration, id: String, date: Timestamp) async throws {
        let text = """
            Hello \(registration.name),

            you are registered as \(registration.email). Good to have you here.

            If that was not you, please ignore this mail.
            """
        let mail = Mail(
            id: id,
            from: from,
            to: Mail.Mailbox(name: registration.name, address: registration.email),
            subject: "Welcome, \(registration.name)!",
            text: text,
            date: date
        )
        try await transport.deliver(mail)
    }

    /// Tells the team about a registration.
    func notice(_ registration: Registration, id: String, date: Timestamp) async throws {
        let mail = Mail(
            id: id,
            from: from,
            to: team,
            subject: "New registration: \(registration.name)",
            text: "\(registration.name) has registered with \(registration.email).",
            date: date
        )
        try await transport.deliver(mail)
    }

    /// Sends the team a report.
    func report(_ text: String, id: String, date: Timestamp) async throws {
        try await transport.deliver(
            Mail(id: id, from: from, to: team, subject: "Nightly report", text: text, date: date)
        )
    }

    /// Reminds somebody of a time that they chose.
    func remind(_ address: String, of time: Timestamp, id: String, date: Timestamp) async throws {
        let mail = Mail(
            id: id,
            from: from,
            to: Mail.Mailbox(name: address, address: address),
            subject: "Your reminder",
            text: "You wanted to be reminded at \(time.text).",
            date: date
        )
        try await transport.deliver(mail)
    }
}
