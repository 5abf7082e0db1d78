// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation
import HTTPTypes
import Testing

@testable import Signup

/// Queries of `GET /jobs`, for `FUZZ_SECONDS` (3); `FUZZ_SEED` repeats a run.
@Suite("Any query is a page or a problem", .timeLimit(.minutes(5)))
struct QueryFuzzTests {
    private static let names: [JobName] = ["process-text", "welcome-email", "a&b=c", "é 😀", "100%"]
    private static let values = [
        "", "0", "1", "2", "3", "500", "501", "-1", "+2", "99999999999999999999", "ready", "succeeded", "READY", "lost",
        "%00", "%", "%zz", "%F0%9F%98%80", "%ff", "a%26b%3Dc", "process-text", "é", "'%3B--", "0192f3c4",
        "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "FFFFFFFFFFFF7FFF8FFFFFFFFFFFFFFF",
    ]

    @Test("any text behind the question mark gives the page it means, or names the parameters that are wrong")
    func queries() async throws {
        let run = FuzzRun(ProcessInfo.processInfo.environment)
        print("fuzz queries: \(run)")
        try await ServiceFixture.run { fixture in
            try await fixture.service.jobs.pause(.everything, reason: "what is enqueued is not what is tried here")
            var records: [JobRecord] = []
            let report = try await run.rounds(of: "queries") { generator, again in
                if records.count < 60, records.isEmpty || generator.once(in: 5) {
                    records += try await Self.add(to: fixture.service.jobs, &generator)
                }
                try await Self.anyText(fixture, &generator, again)
                try await Self.allPages(fixture, records, &generator, again)
            }
            print(report)
        }
    }

    /// Stores some jobs, of which a few are cancelled or wait for their time.
    private static func add(to jobs: JobClient, _ generator: inout SeededGenerator) async throws -> [JobRecord] {
        let new = (0...generator.below(6))
            .map { _ in
                NewJob(
                    id: JobID(at: SystemClock.shared.now - .milliseconds(generator.below(9000)), using: &generator),
                    name: generator.pick(names),
                    payload: Payload(bytes: Array("{}".utf8)),
                    start: generator.once(in: 3) ? .after(.hours(1)) : .now
                )
            }
        _ = try await jobs.enqueue(prepared: new)
        if generator.once(in: 3) { _ = try await jobs.cancel([new[0].id], reason: "chance", actor: "fuzz") }
        var records: [JobRecord] = []
        for job in new {
            if let record = try await jobs.job(job.id) { records.append(record) }
        }
        return records
    }

    /// Whatever is asked: 200, or 400 with the parameters.
    private static func anyText(
        _ fixture: ServiceFixture,
        _ generator: inout SeededGenerator,
        _ again: String
    ) async throws {
        let names = ["state", "name", "limit", "after", "State", "", "limit%3D", "x"]
        var parts: [String] = []
        for _ in 0..<generator.below(6) {
            let separator = generator.once(in: 12) ? generator.pick(["", "==", "%3D"]) : "="
            parts.append(generator.pick(names) + separator + generator.pick(values))
        }
        let query = parts.joined(separator: generator.once(in: 12) ? "&&" : "&")
        let answer = try await fixture.get("/jobs?\(query)")
        if answer.status == 200 {
            #expect(answer.json?["jobs"]?.array != nil, "\(query), \(again)")
        } else {
            #expect(answer.status == 400, "\(answer.status) for \(query), \(again)")
            #expect(answer.headers[.contentType] == "application/problem+json", "\(query), \(again)")
            let wrong = Set(answer.parts.keys)
            #expect(!wrong.isEmpty && wrong.isSubset(of: ["state", "limit", "after"]), "\(query), \(again)")
        }
    }

    /// A query that is right, page by page, against a look at every job.
    private static func allPages(
        _ fixture: ServiceFixture,
        _ records: [JobRecord],
        _ generator: inout SeededGenerator,
        _ again: String
    ) async throws {
        let states = Set(
            (0..<generator.below(3)).map { _ in generator.pick([JobState.ready, .scheduled, .cancelled]) }
        )
        let names = Set((0..<generator.below(3)).map { _ in generator.pick(Self.names) })
        let limit = generator.pick([1, 2, 3, 7, 50, 500])
        let parts =
            states.map { "state=\($0.word)" } + names.map { "name=\(escaped($0.rawValue))" } + ["limit=\(limit)"]
        let query = parts.shuffled(using: &generator).joined(separator: "&")
        var found: [String] = []
        var after: String?
        repeat {
            let answer = try await fixture.get("/jobs?\(query)" + (after.map { "&after=\($0)" } ?? ""))
            try #require(answer.status == 200, "\(answer.text) for \(query), \(again)")
            let page = answer.json?["jobs"]?.array?.compactMap { $0["id"]?.string } ?? []
            #expect(page.count <= limit, "\(query), \(again)")
            found += page
            after = answer["next"]
        } while after != nil && found.count <= records.count
        let filter = JobFilter(states: states, names: names)
        let wanted = records.filter(filter.matches).map(\.id).sorted(by: >).map(\.description)
        #expect(found == wanted, "\(query), \(again)")
    }

    private static func escaped(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
    }
}
