// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Foundation

extension Mail {
    /// The mail as an RFC 5322 message with MIME headers, lines ending in CRLF.
    /// - Throws: ``MailError`` for an address that is none: it would become part of a header.
    func message() throws -> String {
        for mailbox in [from, to] {
            if let problem = EmailAddress.problem(with: mailbox.address) {
                throw MailError("'\(mailbox.address)' cannot be mailed: it \(problem)")
            }
        }
        let domain = from.address.split(separator: "@").last ?? "localhost"
        let headers = [
            "Date: \(Self.headerDate(date))",
            "From: \(MailHeader.phrase(from.name))\(MailHeader.fold)<\(from.address)>",
            "To: \(MailHeader.phrase(to.name))\(MailHeader.fold)<\(to.address)>",
            "Subject: \(MailHeader.words(subject))",
            "Message-ID: <\(MailHeader.token(id))@\(domain)>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: quoted-printable",
        ]
        return headers.joined(separator: "\r\n") + "\r\n\r\n" + QuotedPrintable.encode(text)
    }

    /// The date as a header wants it: `Sat, 21 Nov 2026 12:00:00 +0000`, in English whatever the locale.
    static func headerDate(_ date: Timestamp) -> String {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let parts = calendar.dateComponents([.weekday, .day, .month, .year, .hour, .minute, .second], from: date.date)
        func two(_ number: Int?) -> String { (number ?? 0) < 10 ? "0\(number ?? 0)" : "\(number ?? 0)" }
        let day = days[(parts.weekday ?? 1) - 1]
        let month = months[(parts.month ?? 1) - 1]
        let time = "\(two(parts.hour)):\(two(parts.minute)):\(two(parts.second))"
        return "\(day), \(two(parts.day)) \(month) \(parts.year ?? 1970) \(time) +0000"
    }

    private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
}

/// A mail that cannot be written.
///
/// Trying again is of no use.
struct MailError: RetryHint, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    var retryAdvice: RetryAdvice { .never }
}
