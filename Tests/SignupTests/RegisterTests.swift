// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import HTTPTypes
import HummingbirdTesting
import Testing

@testable import Signup

@Suite("Registering")
struct RegisterTests {
    @Test(
        "a registration is answered at once and mailed twice: by a task after the response and by a job",
        .timeLimit(.minutes(3))
    )
    func registration() async throws {
        try await ServiceFixture.run { fixture in
            let answer = try await fixture.post("/register", #"{"email": "ada@example.com", "name": "Ada Lovelace"}"#)
            #expect(answer.status == 201)
            let id = try #require(answer["welcome"])
            #expect(answer.headers[.location] == "/jobs/\(id)")
            let record = try await fixture.finished(id)
            #expect(record.state == .succeeded)
            #expect(record.name == WelcomeEmail.name)
            #expect(fixture.service.background.finished.map(\.name) == ["crm"])

            let mails = try fixture.mails()
            #expect(mails.count == 2)
            let welcome = try #require(mails["\(id).eml"])
            #expect(welcome.contains("To: \"Ada Lovelace\"\r\n <ada@example.com>\r\n"))
            #expect(welcome.contains("Message-ID: <\(id)@example.com>\r\n"))
            let notice = try #require(mails.first { $0.key != "\(id).eml" }?.value)
            #expect(notice.contains("<team@example.com>"))
        }
    }

    @Test("a mail that is delivered again is the same file with the same bytes", .timeLimit(.minutes(3)))
    func deliveredAgain() async throws {
        try await ServiceFixture.run { fixture in
            let answer = try await fixture.post("/register", #"{"email": "ada@example.com", "name": "Ada"}"#)
            let id = try #require(answer["welcome"].flatMap { JobID($0) })
            _ = try await fixture.finished(id.description)
            let first = try fixture.mails()
            try await fixture.service.jobs.retry([id], reason: "test")
            let record = try await fixture.finished(id.description)
            #expect(record.run == 2 && record.state == .succeeded)
            #expect(try fixture.mails() == first)
        }
    }

    @Test("over a real socket the answer does not wait for the mails", .timeLimit(.minutes(3)))
    func live() async throws {
        try await ServiceFixture.run(.live, mode: .live) { fixture in
            let answer = try await fixture.post("/register", #"{"email": "ada@example.com", "name": "Ada"}"#)
            #expect(answer.status == 201)
            #expect(try await fixture.finished(answer["welcome"]).state == .succeeded)
        }
    }
}
