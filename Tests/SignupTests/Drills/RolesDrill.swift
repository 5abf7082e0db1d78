// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandSQLite
import Foundation
import Subprocess
import Testing

@testable import Signup

extension Drills {
    @Test(
        "a process that only answers and two that only work share the jobs of one store",
        .timeLimit(.minutes(3))
    )
    func roles() async throws {
        try await withTemporaryFolder { folder in
            let database = folder.appending(path: "signup.db").path
            let environment = [
                "PORT": "0", "DATABASE": database, "MAIL_FOLDER": folder.appending(path: "mail").path,
                "FILE_FOLDER": folder.appending(path: "files").path, "WORKER_CONCURRENCY": "2",
            ]
            let web = environment.merging(["ROLE": "web"]) { $1 }
            let worker = environment.merging(["ROLE": "worker"]) { $1 }
            let (jobs, status) = try await SignupProcess.run(web) { process in
                try await DrillClient.run(connections: 4) { client in
                    // Nobody works yet: the jobs wait.
                    let jobs = try await Self.enqueue(4, seconds: 0.5, to: process, client)
                    let waiting = try await client.get("\(process.url)/jobs/\(jobs[0])")
                    #expect(waiting["state"]?.string == "ready")
                    // Both at once: each has two slots.
                    async let first = Self.work(worker, until: jobs, of: process, client)
                    async let second = Self.work(worker, until: jobs, of: process, client)
                    let endings = try await [first, second]
                    #expect(endings.allSatisfy { $0 })
                    return jobs
                }
            }
            #expect(status == .exited(0))
            let store = try SQLiteStore(path: database)
            let records = try await store.jobs(jobs, parts: [])
            #expect(records.count == 4 && records.allSatisfy { $0.state == .succeeded && $0.attempt == 1 })
            try await store.close()
        }
    }

    /// Runs a worker process until these jobs have succeeded.
    /// - Returns: Whether it stopped in good order.
    private static func work(
        _ environment: [String: String],
        until jobs: [JobID],
        of web: SignupProcess,
        _ client: DrillClient
    ) async throws -> Bool {
        let (_, status) = try await SignupProcess.run(environment) { _ in
            for job in jobs {
                try await client.poll("\(web.url)/jobs/\(job)") { $0["state"]?.string == "succeeded" }
            }
        }
        return status == .exited(0)
    }
}
