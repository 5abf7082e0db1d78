// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// One mail, before anybody has decided how it travels.
struct Mail: Sendable, Hashable {
    /// Who it is from or to.
    struct Mailbox: Sendable, Hashable {
        var name: String
        var address: String
    }

    /// Stays the same when the mail is delivered again, so that the receiver can tell.
    var id: String
    var from: Mailbox
    var to: Mailbox
    var subject: String
    var text: String
    var date: Timestamp
}

/// Delivers mail.
protocol MailTransport: Sendable {
    /// Returns once the mail is delivered. Delivering the same mail twice must be harmless: a job that was
    /// interrupted runs again.
    func deliver(_ mail: Mail) async throws
}
