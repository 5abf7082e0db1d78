// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import HTTPTypes
import Testing

@testable import Signup

@Suite("Looking at jobs and at the service")
struct JobListTests {
    @Test("jobs are listed newest first, by state and name, in pages", .timeLimit(.minutes(3)))
    func list() async throws {
        try await ServiceFixture.run { fixture in
            var ids: [String] = []
            for number in 1...5 {
                let answer = try await fixture.post("/process", #"{"text": "\#(number)"}"#)
                ids.append(try #require(answer["job"]))
            }
            for id in ids { _ = try await fixture.finished(id) }
            let first = try await fixture.get("/jobs?state=succeeded&name=process-text&limit=3")
            let found = try #require(first.json?["jobs"]?.array)
            #expect(found.compactMap { $0["id"]?.string } == Array(ids.reversed().prefix(3)))
            let next = try #require(first["next"])
            let second = try await fixture.get("/jobs?state=succeeded&name=process-text&limit=3&after=\(next)")
            #expect(second.json?["jobs"]?.array?.compactMap { $0["id"]?.string } == Array(ids.reversed().suffix(2)))
            #expect(second["next"] == nil)
            #expect(try await fixture.get("/jobs?state=failed").json?["jobs"] == .array([]))
            #expect(try await fixture.get("/jobs?name=welcome-email").json?["jobs"] == .array([]))
            #expect(try await fixture.get("/jobs?state=ready&state=succeeded").json?["jobs"]?.array?.count == 5)
        }
    }

    @Test("health and help answer", .timeLimit(.minutes(3)))
    func health() async throws {
        try await ServiceFixture.run { fixture in
            // A finished job is the signal that the worker is up.
            _ = try await fixture.finished(fixture.post("/process", #"{"text": "a"}"#)["job"])
            #expect(try await fixture.get("/healthz").text == "ok\n")
            let ready = try await fixture.get("/readyz")
            #expect(ready.status == 200)
            #expect(ready["worker"] == fixture.service.worker.id.description)
            let help = try await fixture.get("/")
            #expect(help.text.contains("curl -i http://localhost/register"))
            fixture.service.worker.stopClaiming()
            #expect(try await fixture.get("/readyz").status == 503)
        }
    }
}
