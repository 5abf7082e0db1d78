// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import HTTPTypes
import Testing

@testable import Signup

@Suite("Schedules over HTTP")
struct ScheduleTests {
    private static let tea = """
        {"id": "tea", "cron": "0 16 * * MON-FRI", "zone": "Europe/London", "email": "ada@example.com"}
        """

    @Test("a user's schedule is made, shown in words, and gone when it is deleted", .timeLimit(.minutes(3)))
    func life() async throws {
        try await ServiceFixture.run { fixture in
            let made = try await fixture.post("/schedules", Self.tea)
            #expect(made.status == 201 && made.headers[.location] == "/schedules/tea")
            #expect(made["state"] == "active" && made["source"] == "dynamic")
            #expect(made["rule"] == "At 16:00, Monday through Friday (Europe/London)")
            let next = try #require(made.json?["next"]?.array)
            #expect(next.count == 10 && next.allSatisfy { $0["local"]?.string?.contains("16:00:00") == true })

            let again = try await fixture.post("/schedules", Self.tea)
            #expect(again.status == 409 && again["detail"]?.contains("tea") == true)
            let list = try await fixture.get("/schedules")
            #expect(list.json?["schedules"]?.array?.map { $0["id"]?.string } == ["tea"])
            #expect(list.json?["schedules"]?.array?.first?["next"]?.array?.count == 3)
            #expect(try await fixture.get("/schedules?after=tea").json?["schedules"]?.array == [])

            #expect(try await fixture.delete("/schedules/tea").status == 204)
            #expect(try await fixture.delete("/schedules/tea").status == 404)
            #expect(try await fixture.get("/schedules/tea").status == 404)
        }
    }

    @Test("a run that is asked for twice with one key is one job, and it sends the mail", .timeLimit(.minutes(3)))
    func trigger() async throws {
        try await ServiceFixture.run { fixture in
            _ = try await fixture.post("/schedules", Self.tea)
            let paused = try await fixture.post("/schedules/tea/pause", #"{"note": "on holiday"}"#)
            #expect(paused["state"] == "paused" && paused.json?["pause"]?["note"]?.string == "on holiday")
            #expect(paused.json?["next"]?.array == [])

            let key = try #require(HTTPField.Name("Idempotency-Key"))
            let first = try await fixture.post("/schedules/tea/trigger", headers: [key: "a"])
            let second = try await fixture.post("/schedules/tea/trigger", headers: [key: "a"])
            let other = try await fixture.post("/schedules/tea/trigger", headers: [:])
            #expect(first.status == 202 && first.headers[.location] == "/jobs/\(first["job"] ?? "")")
            #expect(first["job"] == second["job"] && first["job"] != other["job"])
            for answer in [first, other] { #expect(try await fixture.finished(answer["job"]).state == .succeeded) }
            let mails = try fixture.mails().values
            #expect(mails.count == 2 && mails.allSatisfy { $0.contains("To: ada@example.com") || $0.contains("ada@") })

            let resumed = try await fixture.post("/schedules/tea/resume", headers: [:])
            #expect(resumed["state"] == "active" && resumed.json?["pause"] == nil)
            let recent = try #require(try await fixture.get("/schedules/tea").json?["recent"]?.array)
            #expect(recent.map { $0["decision"]?.string } == ["enqueued", "enqueued"])
            #expect(recent.allSatisfy { $0["kind"]?.string == "trigger" })
        }
    }

    @Test("the service's own schedules fire, and cannot be deleted or taken over", .timeLimit(.minutes(3)))
    func own() async throws {
        try await ServiceFixture.run(environment: ["SCHEDULES": "on"]) { fixture in
            let beat = await fixture.service.events.events()
                .first { event in
                    if case .ticked(let row) = event { row.schedule == "heartbeat" && row.job != nil } else { false }
                }
            guard case .ticked(let row) = beat, let id = row.job else { return #expect(Bool(false), "no heartbeat") }
            #expect(row.nominal.milliseconds % 10_000 == 0 && row.kind == .regular)
            #expect(try await fixture.finished(id.description).state == .succeeded)

            let report = try await fixture.get("/schedules/nightly-report")
            #expect(report["source"] == "code" && report["rule"]?.hasPrefix("At 02:30 every day") == true)
            _ = try await fixture.post("/register", #"{"email": "ada@example.com", "name": "Ada"}"#)
            let run = try await fixture.post("/schedules/nightly-report/trigger", headers: [:])
            let job = try await fixture.finished(run["job"])
            #expect(job.state == .succeeded)
            #expect(try await fixture.get("/jobs/\(job.id)").json?["result"]?["registrations"]?.integer == 1)

            #expect(try await fixture.delete("/schedules/heartbeat").status == 409)
            let mine = #"{"id": "heartbeat", "cron": "0 9 * * *", "email": "ada@example.com"}"#
            #expect(try await fixture.post("/schedules", mine).status == 409)
        }
    }

    struct Wrong: Sendable, CustomTestStringConvertible {
        var id = "tea"
        var cron = "0 16 * * *"
        var zone = "Europe/London"
        var email = "ada@example.com"
        let field: String
        let says: String

        var testDescription: String { "\(field): \(says)" }

        var body: String { #"{"id": "\#(id)", "cron": "\#(cron)", "zone": "\#(zone)", "email": "\#(email)"}"# }
    }

    @Test(
        "a wrong schedule is refused, with the field and what to write",
        .timeLimit(.minutes(3)),
        arguments: [
            Wrong(id: "Tea time", field: "#/id", says: "may hold a-z"),
            Wrong(id: String(repeating: "a", count: 129), field: "#/id", says: "1 to 128"),
            Wrong(cron: "61 * * * *", field: "#/cron", says: "column 1: minute 61 is outside 0-59"),
            Wrong(cron: "0 0 31 4 *", field: "#/cron", says: "never fires"),
            Wrong(cron: "tomorrow", field: "#/cron", says: "fields"),
            Wrong(cron: "@reboot", field: "#/cron", says: "reboot"),
            Wrong(cron: "* * * * * *", field: "#/cron", says: "once a minute"),
            Wrong(cron: "@every 5s", field: "#/cron", says: "once a minute"),
            Wrong(zone: "Europe/Lodnon", field: "#/zone", says: "did you mean Europe/London?"),
            Wrong(cron: "CRON_TZ=UTC 0 9 * * *", field: "#/zone", says: "write one"),
            Wrong(email: "ada", field: "#/email", says: "address"),
        ]
    )
    func wrong(_ wrong: Wrong) async throws {
        try await ServiceFixture.run { fixture in
            let answer = try await fixture.post("/schedules", wrong.body)
            #expect(answer.status == 422 && answer.headers[.contentType] == "application/problem+json")
            #expect(Set(answer.parts.keys) == [wrong.field])
            #expect(answer.parts[wrong.field]?.contains(wrong.says) == true, "\(answer.parts)")
            #expect(try await fixture.get("/schedules").json?["schedules"]?.array == [])
        }
    }

    @Test("everything that is wrong is named at once", .timeLimit(.minutes(3)))
    func everything() async throws {
        try await ServiceFixture.run { fixture in
            let answer = try await fixture.post("/schedules", #"{"id": "", "cron": 5}"#)
            #expect(answer.status == 422 && Set(answer.parts.keys) == ["#/id", "#/cron", "#/email"])
            #expect(try await fixture.post("/schedules", "{").status == 400)
        }
    }

    @Test(
        "what is done to a schedule that is not there is a problem",
        .timeLimit(.minutes(3)),
        arguments: ["nothing", "Tea%20time", "..%2fx"]
    )
    func notThere(id: String) async throws {
        try await ServiceFixture.run { fixture in
            var answers = [try await fixture.get("/schedules/\(id)"), try await fixture.delete("/schedules/\(id)")]
            answers.append(try await fixture.post("/schedules/\(id)/pause", #"{"note": "why not"}"#))
            for word in ["resume", "trigger"] {
                answers.append(try await fixture.post("/schedules/\(id)/\(word)", headers: [:]))
            }
            for answer in answers {
                #expect(answer.status == 404 && answer.headers[.contentType] == "application/problem+json")
            }
        }
    }
}
