// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Errand
import Foundation
import NIOCore
import NIOHTTP1

/// Delivers mail by handing it to another service: one POST with the mail as JSON.
///
/// The request carries the mail's id as `Idempotency-Key`, because a job that was interrupted posts again.
struct MailWebhook: MailTransport {
    let url: String

    private struct Body: Encodable {
        let id: String
        let from: String
        let to: String
        let subject: String
        let text: String
        let message: String
    }

    func deliver(_ mail: Mail) async throws {
        let body = Body(
            id: mail.id,
            from: mail.from.address,
            to: mail.to.address,
            subject: mail.subject,
            text: mail.text,
            message: try mail.message()
        )
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers = ["content-type": "application/json", "idempotency-key": mail.id]
        request.body = .bytes(ByteBuffer(bytes: try JSONEncoder().encode(body)))
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(10))
        let retryAfter = response.headers.first(name: "retry-after")
        // The rest of the body is of no interest, but reading it lets the connection be used again.
        _ = try? await response.body.collect(upTo: 65_536)
        guard (200..<300).contains(response.status.code) else {
            throw WebhookError(status: Int(response.status.code), retryAfter: retryAfter)
        }
    }
}

/// The other service did not take the mail.
struct WebhookError: RetryHint, CustomStringConvertible, Hashable {
    let status: Int
    let retryAfter: Duration?

    init(status: Int, retryAfter: String?) {
        self.status = status
        self.retryAfter = retryAfter.flatMap { Int($0.trimmingCharacters(in: .whitespaces)) }
            .flatMap { (0...86_400).contains($0) ? .seconds($0) : nil }
    }

    var description: String {
        let wait = retryAfter.map { ", and asked to wait \($0.components.seconds) s" } ?? ""
        return "the webhook answered \(status)\(wait)"
    }

    /// 429 and 503 say when; other trouble of the server, and 408, is tried again by the job's policy; what is
    /// left means that this mail will never be taken.
    var retryAdvice: RetryAdvice {
        switch status {
        case 429, 503: retryAfter.map { .after($0) } ?? .policy
        case 408, 500...: .policy
        default: .never
        }
    }
}
