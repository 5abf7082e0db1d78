// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import Foundation
import HTTPTypes
import Testing

@testable import Signup

@Suite("Long work")
struct WorkTests {
    @Test("work is accepted with an id, and its result is there in the end", .timeLimit(.minutes(3)))
    func process() async throws {
        try await ServiceFixture.run { fixture in
            let accepted = try await fixture.post("/process", #"{"text": "to be or not"}"#)
            #expect(accepted.status == 202)
            let id = try #require(accepted["job"])
            #expect(accepted.headers[.location] == "/jobs/\(id)")
            _ = try await fixture.finished(id)
            let job = try await fixture.get("/jobs/\(id)")
            #expect(job["state"] == "succeeded")
            #expect(job.json?["attempt"]?.integer == 1)
            #expect(job.json?["result"]?["words"]?.integer == 4)
            #expect(job.json?["result"]?["characters"]?.integer == 12)
            #expect(job["finishedAt"] != nil)
        }
    }

    @Test("a report of the same day is the same job", .timeLimit(.minutes(3)))
    func report() async throws {
        try await ServiceFixture.run { fixture in
            let today = Date.now.formatted(Date.ISO8601FormatStyle(timeZone: .gmt).year().month().day())
            let welcome = try await fixture.post("/register", #"{"email": "ada@example.com", "name": "Ada"}"#)
            _ = try await fixture.finished(welcome["welcome"])
            let first = try await fixture.post("/reports/\(today)", "")
            let second = try await fixture.post("/reports/\(today)", "")
            let other = try await fixture.post("/reports/2026-01-01", "")
            #expect(first.status == 202 && second.status == 202)
            #expect(first["job"] == second["job"] && first["job"] != other["job"])
            #expect(first.json?["wasDuplicate"] == .bool(false))
            #expect(second.json?["wasDuplicate"] == .bool(true))
            _ = try await fixture.finished(first["job"])
            let report = try await fixture.get("/jobs/\(first["job"] ?? "")")
            #expect(report.json?["result"]?["welcomed"]?.integer == 1)
            #expect(report.json?["result"]?["registrations"]?.integer == 1)
        }
    }

    @Test("an export writes its rows and says how far it is", .timeLimit(.minutes(3)))
    func export() async throws {
        try await ServiceFixture.run { fixture in
            let accepted = try await fixture.post("/exports", #"{"rows": 3, "pauseMilliseconds": 0}"#)
            _ = try await fixture.finished(accepted["job"])
            let job = try await fixture.get("/jobs/\(accepted["job"] ?? "")")
            #expect(job["state"] == "succeeded")
            let file = try #require(job.json?["result"]?["file"]?.string)
            let text = try String(
                contentsOf: fixture.service.settings.fileFolder.appending(path: file),
                encoding: .utf8
            )
            #expect(text == "row,square\n1,1\n2,4\n3,9\n")
        }
    }

    @Test("a running export can be cancelled, once; a finished job cannot", .timeLimit(.minutes(3)))
    func cancel() async throws {
        try await ServiceFixture.run { fixture in
            let events = fixture.service.events.events()
            let accepted = try await fixture.post("/exports", #"{"rows": 100000, "pauseMilliseconds": 60000}"#)
            let id = try #require(accepted["job"].flatMap { JobID($0) })
            for await event in events { if case .started(id, _, _, _) = event { break } }
            let cancelled = try await fixture.delete("/jobs/\(id)")
            #expect(cancelled.status == 202)
            #expect(cancelled.json?["isCancelRequested"] == .bool(true))
            let record = try await fixture.finished(id.description)
            #expect(record.state == .cancelled)
            #expect(record.cancelRequest?.actor == "http")
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: fixture.service.settings.fileFolder.path).isEmpty
            )
            #expect(try await fixture.delete("/jobs/\(id)").status == 202)

            let done = try await fixture.post("/process", #"{"text": "a"}"#)
            _ = try await fixture.finished(done["job"])
            #expect(try await fixture.delete("/jobs/\(done["job"] ?? "")").status == 409)
        }
    }

    @Test("a thumbnail is computed after the response and can then be fetched", .timeLimit(.minutes(3)))
    func thumbnail() async throws {
        try await ServiceFixture.run { fixture in
            let accepted = try await fixture.post("/thumbnails", #"{"size": 64, "factor": 4}"#)
            #expect(accepted.status == 202)
            let picture = try await fixture.get(try #require(accepted.headers[.location]))
            #expect(picture.status == 200)
            #expect(picture.headers[.contentType] == "image/x-portable-graymap")
            #expect(picture.text.hasPrefix("P5\n16 16\n255\n"))
            #expect(fixture.service.background.finished.map(\.name) == ["thumbnail"])
        }
    }

    @Test("making a picture smaller takes the mean of each box and cuts what is left over")
    func downscale() {
        let picture = GrayPicture(width: 5, height: 2, pixels: [0, 4, 10, 20, 99, 8, 12, 30, 40, 99])
        #expect(picture.downscaled(by: 2) == GrayPicture(width: 2, height: 1, pixels: [6, 25]))
        let set = GrayPicture.mandelbrot(size: 32)
        #expect(set.pixels.contains(0) && Set(set.pixels).count > 4)
        #expect(set.downscaled(by: 1) == set)
    }
}
