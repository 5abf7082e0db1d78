// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import HTTPTypes
import Hummingbird

/// `/schedules`: the service's own schedules can be looked at, paused and run; those that users make, also deleted.
struct ScheduleRoutes: Sendable {
    let scheduler: Scheduler
    let clock: any ErrandClock

    private struct Page: Encodable {
        let schedules: [ScheduleView]
        let next: String?
    }

    private struct Run: Encodable {
        let job: JobID
    }

    private static let pageSize = 100
    private static let tokenHeader = HTTPField.Name("Idempotency-Key")

    func add(to router: Router<BasicRequestContext>) {
        router.get("schedules") { request, _ in
            let last = request.uri.queryParameters["after"].map { ScheduleID(String($0)) }
            let page = try await scheduler.schedules(after: last, limit: Self.pageSize)
            let now = clock.now
            let next = page.count == Self.pageSize ? page.last?.id.rawValue : nil
            return try Response.json(Page(schedules: page.map { ScheduleView($0, now: now) }, next: next))
        }
        router.post("schedules") { request, _ in
            let form = try ScheduleForm(try await request.fields(), now: clock.now)
            try await Problem.from {
                // Revision 0: there must be none of this name yet.
                try await scheduler.put(
                    form.id,
                    form.trigger,
                    job: Reminder(email: form.email),
                    ifRevision: 0,
                    actor: "http"
                )
            }
            return try Response.json(
                try await view(of: form.id),
                status: .created,
                headers: [.location: "/schedules/\(form.id)"]
            )
        }
        router.get("schedules/:id") { _, context in try Response.json(try await view(of: Self.id(context))) }
        router.delete("schedules/:id") { _, context in
            let id = try Self.id(context)
            let wasThere = try await Problem.from { try await scheduler.remove(id, actor: "http") }
            guard wasThere else { throw Self.missing(id.rawValue) }
            return Response(status: .noContent)
        }
        addOperations(to: router)
    }

    private func addOperations(to router: Router<BasicRequestContext>) {
        router.post("schedules/:id/pause") { request, context in
            let id = try Self.id(context)
            var fields = try await request.fields()
            let note = fields.text("note")
            try fields.finish()
            try await Problem.from { try await scheduler.pause(id, note: note, actor: "http") }
            return try Response.json(try await view(of: id))
        }
        router.post("schedules/:id/resume") { _, context in
            let id = try Self.id(context)
            try await Problem.from { try await scheduler.resume(id, actor: "http") }
            return try Response.json(try await view(of: id))
        }
        router.post("schedules/:id/trigger") { request, context in
            let id = try Self.id(context)
            // With a key of the client's, asking again is one run.
            let key = Self.tokenHeader.flatMap { request.headers[$0] }
            let token = key ?? Chance.system.jobID(at: clock.now).description
            let job = try await Problem.from { try await scheduler.trigger(id, token: token, actor: "http") }
            guard let job else { throw Problem(.conflict, "There is nothing to do for \(id) now.") }
            return try Response.json(Run(job: job), status: .accepted, headers: [.location: "/jobs/\(job)"])
        }
    }

    private func view(of id: ScheduleID) async throws -> ScheduleView {
        guard let status = try await scheduler.status(of: id) else { throw Self.missing(id.rawValue) }
        return ScheduleView(status)
    }

    private static func id(_ context: BasicRequestContext) throws -> ScheduleID {
        let text = try context.parameters.require("id")
        let id = ScheduleID(text)
        guard id.problem == nil else { throw missing(text) }
        return id
    }

    private static func missing(_ id: String) -> Problem { Problem(.notFound, "There is no schedule '\(id)'.") }
}
