// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandHummingbird
import Foundation
import HTTPTypes
import Hummingbird

/// Long work: `POST /process`, `POST /reports/{day}` and `POST /exports` answer with the id of a job, and
/// `GET /jobs/{id}` tells how it is.
struct WorkRoutes: Sendable {
    let jobs: JobClient

    private struct Answer: Encodable {
        let job: JobID
        var wasDuplicate: Bool?
    }

    func add(to router: Router<BasicRequestContext>) {
        router.post("process") { request, context in
            var fields = try await request.fields()
            let text = fields.text("text", length: 1...10_000)
            let seconds = fields.number("seconds", in: 0...3600, default: 0)
            try fields.finish()
            // Staged: stored with everything else of this request, before the response leaves.
            let job = context.background.enqueue(ProcessText(text: text, seconds: seconds))
            return try Self.accepted(Answer(job: job))
        }
        router.post("reports/:day") { _, context in
            let day = try context.parameters.require("day")
            guard DailyReport.start(of: day) != nil else {
                let part = Problem.Part(parameter: "day", detail: "must be a day like 2026-11-21")
                throw Problem(.unprocessableContent, "The path names no day.", errors: [part])
            }
            // Not staged: whether it was a duplicate is part of the answer.
            let handle = try await jobs.enqueue(DailyReport(day: day))
            return try Self.accepted(Answer(job: handle.id, wasDuplicate: handle.wasDuplicate))
        }
        router.post("exports") { request, context in
            var fields = try await request.fields()
            let rows = fields.integer("rows", in: 1...100_000, default: 500)
            let pause = fields.integer("pauseMilliseconds", in: 0...60_000, default: 20)
            try fields.finish()
            let job = context.background.enqueue(ExportRows(rows: rows, pauseMilliseconds: pause))
            return try Self.accepted(Answer(job: job))
        }
    }

    private static func accepted(_ answer: Answer) throws -> Response {
        try Response.json(answer, status: .accepted, headers: [.location: "/jobs/\(answer.job)"])
    }
}
