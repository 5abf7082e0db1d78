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
        "a stop signal during a hundred running jobs: what can finish does, the rest is given back, within the budget",
        .timeLimit(.minutes(3))
    )
    func stop() async throws {
        try await withTemporaryFolder { folder in
            let database = folder.appending(path: "signup.db").path
            let environment = [
                "PORT": "0", "DATABASE": database, "DURABILITY": "processCrash", "WORKER_CONCURRENCY": "100",
                "SHUTDOWN_CANCEL_AFTER_MS": "6000", "SHUTDOWN_GIVE_BACK_AFTER_MS": "8000",
                "SHUTDOWN_EXIT_AFTER_MS": "10000", "MAIL_FOLDER": folder.appending(path: "mail").path,
                "FILE_FOLDER": folder.appending(path: "files").path,
            ]
            let clock = SystemClock.shared
            let (jobs, status) = try await SignupProcess.run(environment) { process in
                try await DrillClient.run(connections: 32) { client in
                    let endless = try await Self.enqueue(50, seconds: 3600, to: process, client)
                    let short = try await Self.enqueue(50, seconds: 3, to: process, client)
                    try await client.poll("\(process.url)/readyz") { $0["running"]?.integer == 100 }
                    return (endless: endless, short: short, signalled: clock.uptime)
                }
            }
            let elapsed = clock.uptime - jobs.signalled
            #expect(status == .exited(0))
            #expect(elapsed < .seconds(10), "the process took \(elapsed) to end")

            let store = try SQLiteStore(path: database)
            for record in try await store.jobs(jobs.short, parts: []) {
                #expect(record.state == .succeeded && record.attempt == 1)
            }
            let rest = try await store.jobs(jobs.endless, parts: .attempts)
            #expect(rest.count == 50)
            for record in rest {
                #expect(record.state == .ready)
                #expect(record.attempt == 0 && record.failures == 0 && record.crashes == 0)
                #expect(record.releases == 1)
                #expect(record.attempts.map(\.ending) == [.released])
            }
            #expect(try await store.workers().isEmpty)
            try await store.close()
        }
    }

    static func enqueue(
        _ count: Int,
        seconds: Double,
        to process: SignupProcess,
        _ client: DrillClient
    ) async throws -> [JobID] {
        try await withThrowingTaskGroup(of: JobID.self) { group in
            for number in 0..<count {
                group.addTask { try await client.process(process.url, text: "job \(number)", seconds: seconds) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }
}
