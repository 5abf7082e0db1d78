// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandSQLite
import Foundation
import GRDB
import Subprocess
import Testing

@testable import Signup

extension Drills {
    @Test(
        "a process that was paused past its lease cannot settle: another one has run the job, and its word stands",
        .timeLimit(.minutes(3))
    )
    func pause() async throws {
        try await withTemporaryFolder { folder in
            let database = folder.appending(path: "signup.db").path
            let environment = [
                "PORT": "0", "DATABASE": database, "DURABILITY": "processCrash", "WORKER_BEAT_MS": "300",
                "WORKER_FENCE_AFTER_MS": "1500", "WORKER_DEAD_AFTER_MS": "2500", "WORKER_MAINTENANCE_MS": "300",
                "MAIL_FOLDER": folder.appending(path: "mail").path, "FILE_FOLDER": folder.appending(path: "files").path,
            ]
            _ = try await SignupProcess.run(environment) { first in
                _ = try await SignupProcess.run(environment) { second in
                    try await DrillClient.run(connections: 2) { client in
                        try await Self.drill(first, second, client, database)
                    }
                }
            }
        }
    }

    private static func drill(
        _ first: SignupProcess,
        _ second: SignupProcess,
        _ client: DrillClient,
        _ database: String
    ) async throws {
        let paused = try #require(try await client.get("\(first.url)/readyz")["worker"]?.string)
        let rescuer = try #require(try await client.get("\(second.url)/readyz")["worker"]?.string)
        // The first process has free slots, so its own insert claims the job for it.
        let id = try await client.process(first.url, text: "to be", seconds: 2)
        try await suspend(first, database)

        try await client.poll("\(second.url)/jobs/\(id)") { $0["state"]?.string == "succeeded" }
        let store = try SQLiteStore(path: database)
        let before = try #require(try await store.jobs([id], parts: .all).first)
        #expect(before.worker?.description == rescuer)
        #expect(before.crashes == 1 && before.failures == 0)
        #expect(before.attempts.map(\.ending) == [.crashed, .succeeded])
        #expect(before.attempts.map(\.worker.description) == [paused, rescuer])

        try first.send(.resume)
        let refusal = await first.log.first { $0.contains("lost its lease; nothing was written") }
        #expect(refusal?.contains(id.description) == true)
        // It goes on under a new identity, and nothing about the job has changed.
        try await client.poll("\(first.url)/readyz") {
            $0["isReady"] == .bool(true) && $0["worker"]?.string.map { $0 != paused } == true
        }
        let after = try await store.jobs([id], parts: .all).first
        #expect(after == before)
        try await store.close()
    }

    /// Stops the process at a moment when it is not writing: one that is stopped with SQLite's write lock would
    /// stop everybody else as well, which no lease can help.
    private static func suspend(_ process: SignupProcess, _ database: String) async throws {
        for _ in 0..<20 {
            try process.send(.suspend)
            var configuration = GRDB.Configuration()
            configuration.busyMode = .timeout(0.3)
            let queue = try DatabaseQueue(path: database, configuration: configuration)
            defer { try? queue.close() }
            do {
                try await queue.writeWithoutTransaction { db in
                    try db.inTransaction(.immediate) { .rollback }
                }
                return
            } catch {
                try process.send(.resume)
            }
        }
        Issue.record("the process could not be stopped between two writes")
    }
}
