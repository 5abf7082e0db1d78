// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import HTTPTypes
import Hummingbird

/// `GET /jobs`, `GET /jobs/{id}` and `DELETE /jobs/{id}`: what became of the work.
struct JobRoutes: Sendable {
    let jobs: JobClient

    private struct Page: Encodable {
        let jobs: [JobView]
        let next: JobID?
    }

    func add(to router: Router<BasicRequestContext>) {
        router.get("jobs") { request, _ in
            var query = JobQuery(request.uri.queryParameters)
            let (filter, page) = (query.filter(), query.page())
            try query.finish()
            let answer = try await jobs.jobs(filter, page: page)
            return try Response.json(Page(jobs: answer.jobs.map { JobView($0) }, next: answer.next))
        }
        router.get("jobs/:id") { _, context in
            try Response.json(try await view(of: Self.id(context)))
        }
        router.delete("jobs/:id") { _, context in
            let id = try Self.id(context)
            // Says 404 for a job that is not there.
            _ = try await view(of: id)
            let report = try await jobs.cancel([id], reason: "DELETE /jobs/\(id)", actor: "http")
            if let refusal = report.refused[id] {
                throw Problem(.conflict, "The job cannot be cancelled: \(refusal).")
            }
            // A running job is told, and ends a moment later.
            return try Response.json(try await view(of: id), status: .accepted)
        }
    }

    private func view(of id: JobID) async throws -> JobView {
        let parts: JobParts = [.result, .attempts]
        guard let record = try await jobs.job(id, parts: parts) else {
            throw Problem(.notFound, "There is no job \(id); it never was, or it has been pruned.")
        }
        return JobView(record, parts: parts)
    }

    private static func id(_ context: BasicRequestContext) throws -> JobID {
        let text = try context.parameters.require("id")
        guard let id = JobID(text) else { throw Problem(.notFound, "There is no job '\(text)'; an id is a UUID.") }
        return id
    }
}
