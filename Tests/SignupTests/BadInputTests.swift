// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import HTTPTypes
import Testing

@testable import Signup

@Suite("Bad input gets a problem that says what is wrong")
struct BadInputTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var path = "/register"
        let body: String
        var type: String? = "application/json"
        var status = 422
        var parts: Set<String> = []

        var testDescription: String { "\(path) \(body.prefix(60)) as \(type ?? "nothing")" }
    }

    @Test(
        "a bad request is refused with the status and the parts that are wrong",
        .timeLimit(.minutes(3)),
        arguments: [
            Case(body: "{}", parts: ["#/email", "#/name"]),
            Case(body: #"{"email": "ada@example.com"}"#, parts: ["#/name"]),
            Case(body: #"{"email": null, "name": "Ada"}"#, parts: ["#/email"]),
            Case(body: #"{"email": 7, "name": ["Ada"]}"#, parts: ["#/email", "#/name"]),
            Case(body: #"{"email": "ada", "name": "Ada"}"#, parts: ["#/email"]),
            Case(body: #"{"email": "ada@localhost", "name": "Ada"}"#, parts: ["#/email"]),
            Case(body: #"{"email": "a da@example.com", "name": "Ada"}"#, parts: ["#/email"]),
            Case(body: #"{"email": "a@b@example.com", "name": "Ada"}"#, parts: ["#/email"]),
            Case(body: #"{"email": ".ada@example.com", "name": "Ada"}"#, parts: ["#/email"]),
            Case(body: #"{"email": "ada@-example.com", "name": "Ada"}"#, parts: ["#/email"]),
            Case(body: #"{"email": "ada@example.com\r\nBcc: eve@example.com", "name": "Ada"}"#, parts: ["#/email"]),
            Case(body: #"{"email": "ada@example.com", "name": "Ada\r\nBcc: eve@example.com"}"#, parts: ["#/name"]),
            Case(body: #"{"email": "ada@example.com", "name": "   "}"#, parts: ["#/name"]),
            Case(
                body: #"{"email": "ada@example.com", "name": "\#(String(repeating: "a", count: 101))"}"#,
                parts: ["#/name"]
            ),
            Case(body: #"{"email": "ada@example.com", "name": "Ada", "password": "short"}"#, parts: ["#/password"]),
            Case(body: "[1, 2]", parts: ["#"]),
            Case(body: #""ada@example.com""#, parts: ["#"]),
            Case(body: #"{"email": "ada@exam"#, status: 400),
            Case(body: "", status: 400),
            Case(body: String(repeating: "[", count: 20_000), status: 400),
            Case(body: String(repeating: "[", count: 513), status: 400),
            Case(body: "[\"\(String(repeating: "]", count: 99))\"," + String(repeating: "[", count: 512), status: 400),
            Case(body: "email=ada@example.com", type: "application/x-www-form-urlencoded", status: 415),
            Case(body: "{}", type: nil, status: 415),
            Case(body: #"{"email": "\#(String(repeating: "a", count: 70_000))"}"#, status: 413),
            Case(path: "/process", body: #"{"text": "", "seconds": -1}"#, parts: ["#/text", "#/seconds"]),
            Case(path: "/process", body: #"{"text": "a", "seconds": "2"}"#, parts: ["#/seconds"]),
            Case(path: "/thumbnails", body: #"{"size": 1e9, "factor": 0}"#, parts: ["#/size", "#/factor"]),
            Case(path: "/thumbnails", body: #"{"size": 100.5}"#, parts: ["#/size"]),
            Case(path: "/exports", body: #"{"rows": 0}"#, parts: ["#/rows"]),
            Case(path: "/reports/2026-02-30", body: "", parts: ["day"]),
            Case(path: "/reports/today", body: "", parts: ["day"]),
        ]
    )
    func badRequest(_ bad: Case) async throws {
        try await ServiceFixture.run { fixture in
            let answer = try await fixture.post(bad.path, bad.body, type: bad.type)
            #expect(answer.status == bad.status)
            #expect(answer.headers[.contentType] == "application/problem+json")
            #expect(answer.json?["status"]?.integer == bad.status)
            #expect(answer["title"]?.isEmpty == false && answer["detail"]?.isEmpty == false)
            #expect(Set(answer.parts.keys) == bad.parts)
            #expect(answer.parts.values.allSatisfy { !$0.isEmpty })
            // Nothing was done, now or later.
            #expect(try await fixture.service.jobs.counts().count() == 0)
            #expect(fixture.service.background.finished.allSatisfy { $0.outcome.label != "succeeded" })
        }
    }

    @Test(
        "a query that cannot be understood names its parameters",
        .timeLimit(.minutes(3)),
        arguments: [
            ("state=lost", ["state"]), ("limit=0", ["limit"]), ("limit=many", ["limit"]), ("after=7", ["after"]),
            ("state=ready&limit=501&after=x", ["limit", "after"]),
        ] as [(String, Set<String>)]
    )
    func badQuery(query: String, parameters: Set<String>) async throws {
        try await ServiceFixture.run { fixture in
            let answer = try await fixture.get("/jobs?\(query)")
            #expect(answer.status == 400)
            #expect(Set(answer.parts.keys) == parameters)
        }
    }

    @Test(
        "what is not there is a problem, too",
        .timeLimit(.minutes(3)),
        arguments: [
            "/nothing", "/jobs/7", "/jobs/0192f3c4-0000-7000-8000-000000000000", "/thumbnails/..%2fsignup.db",
            "/thumbnails/0192f3c4-0000-7000-8000-000000000000",
        ]
    )
    func notThere(path: String) async throws {
        try await ServiceFixture.run { fixture in
            let answer = try await fixture.get(path)
            #expect(answer.status == 404)
            #expect(answer.headers[.contentType] == "application/problem+json")
            #expect(try await fixture.delete(path).status == 404)
        }
    }
}
