// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Synchronization
import Testing

@testable import Signup

/// A receiver of mails that can be made to fail.
private final class Receiver: Sendable {
    private let seen = Mutex<[String: [JSONValue]]>([:])

    /// What came, by idempotency key.
    var requests: [String: [JSONValue]] { seen.withLock { $0 } }

    /// Runs `body` with the address of the receiver, which gives `answer` to the n-th request with the same key.
    func run(
        _ answer: @escaping @Sendable (Int) -> Response,
        _ body: @escaping @Sendable (String) async throws -> Void
    ) async throws {
        let router = Router()
        router.post("mail") { request, _ in
            var request = request
            let buffer = try await request.collectBody(upTo: 1 << 20)
            let mail = try JSONDecoder().decode(JSONValue.self, from: Data(String(buffer: buffer).utf8))
            let key = request.headers[.init("idempotency-key")!] ?? ""
            let count = self.seen.withLock { seen in
                seen[key, default: []].append(mail)
                return seen[key]?.count ?? 0
            }
            return answer(count)
        }
        try await Application(router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)))
            .test(.live) { client in try await body("http://127.0.0.1:\(client.port ?? 0)/mail") }
    }
}

@Suite("Mails to a webhook")
struct WebhookTests {
    private static let registration = #"{"email": "ada@example.com", "name": "Žofie"}"#

    @Test("a receiver that fails twice gets the mail at the third attempt", .timeLimit(.minutes(3)))
    func retried() async throws {
        let receiver = Receiver()
        try await receiver.run { count in
            count > 2 ? Response(status: .ok) : Response(status: .serviceUnavailable, headers: [.retryAfter: "0"])
        } _: { url in
            try await ServiceFixture.run(environment: ["WEBHOOK_URL": url]) { fixture in
                let answer = try await fixture.post("/register", Self.registration)
                let id = try #require(answer["welcome"])
                let record = try await fixture.finished(id)
                #expect(record.state == .succeeded)
                #expect(record.failures == 2)
                #expect(record.attempts.map(\.ending) == [.failed, .failed, .succeeded])
                #expect(record.attempts.first?.error?.message.contains("503") == true)
                // The same mail under the same key each time.
                let mails = try #require(receiver.requests[id])
                #expect(mails.count == 3 && Set(mails).count == 1)
                #expect(mails[0]["to"]?.string == "ada@example.com")
                #expect(mails[0]["message"]?.string?.contains("Subject: =?UTF-8?B?") == true)
                // The task after the response was tried three times as well.
                #expect(fixture.service.background.failures.isEmpty)
                #expect(receiver.requests.count == 2)
            }
        }
    }

    @Test("a receiver that refuses the mail for good ends the job at once", .timeLimit(.minutes(3)))
    func refused() async throws {
        let receiver = Receiver()
        try await receiver.run { _ in
            Response(status: .badRequest)
        } _: { url in
            try await ServiceFixture.run(mode: .discard, environment: ["WEBHOOK_URL": url]) { fixture in
                let answer = try await fixture.post("/register", Self.registration)
                let record = try await fixture.finished(answer["welcome"])
                #expect(record.state == .failed && record.reason == .permanent)
                #expect(receiver.requests.values.first?.count == 1)
            }
        }
    }

    @Test(
        "an answer of the receiver says whether and when to try again",
        arguments: [
            (503, "7", .after(.seconds(7))), (429, "0", .after(.zero)), (429, nil, .policy), (503, "soon", .policy),
            (503, "-1", .policy), (500, "7", .policy), (408, nil, .policy), (404, nil, .never), (301, nil, .never),
        ] as [(Int, String?, RetryAdvice)]
    )
    func advice(status: Int, retryAfter: String?, advice: RetryAdvice) {
        #expect(WebhookError(status: status, retryAfter: retryAfter).retryAdvice == advice)
    }
}
