// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Foundation
import Subprocess
import Testing

@testable import Signup

extension Drills {
    @Test(
        "two processes that work decide each tick once, and one that only answers can trigger what they run",
        .timeLimit(.minutes(3))
    )
    func schedules() async throws {
        try await withTemporaryFolder { folder in
            let environment = [
                "PORT": "0", "DATABASE": folder.appending(path: "signup.db").path, "SCHEDULES": "on",
                "MAIL_FOLDER": folder.appending(path: "mail").path, "FILE_FOLDER": folder.appending(path: "files").path,
            ]
            let worker = environment.merging(["ROLE": "worker"]) { $1 }
            let web = environment.merging(["ROLE": "web"]) { $1 }
            let (_, status) = try await SignupProcess.run(web) { process in
                try await DrillClient.run(connections: 4) { client in
                    // Nobody has declared anything: a process that only answers does not.
                    #expect(try await client.get("\(process.url)/schedules")["schedules"]?.array == [])
                    async let first = SignupProcess.run(worker) { _ in try await Self.fire(process.url, client) }
                    async let second = SignupProcess.run(worker) { _ in try await Self.fire(process.url, client) }
                    for (_, status) in try await [first, second] { #expect(status == .exited(0)) }

                    let heartbeat = try await client.get("\(process.url)/schedules/heartbeat")
                    let times = heartbeat["recent"]?.array?.compactMap { $0["at"]?.string } ?? []
                    #expect(!times.isEmpty && Set(times).count == times.count)
                }
            }
            #expect(status == .exited(0))
        }
    }

    /// Waits for a tick, triggers what a closure makes jobs of, and waits for the job.
    private static func fire(_ url: String, _ client: DrillClient) async throws {
        try await client.poll("\(url)/schedules/heartbeat") { ($0["runs"]?.integer ?? 0) > 0 }
        let run = try await client.post("\(url)/schedules/nightly-report/trigger")
        let job = try #require(run["job"]?.string)
        try await client.poll("\(url)/jobs/\(job)") { $0["state"]?.string == "succeeded" }
    }
}
