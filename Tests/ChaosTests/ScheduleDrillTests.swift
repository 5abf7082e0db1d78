// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestServers
import Testing

extension ChaosTests {
    /// `SCHEDULE_SECONDS=600 SCHEDULE_PROCESSES=8 SCHEDULE_COUNT=200 swift test --filter ScheduleDrillTests` is the
    /// long form.
    @Suite("Schedules of every second, decided by several processes", .timeLimit(.minutes(ScheduleDrill.minutes)))
    struct ScheduleDrillTests {
        @Test("on one SQLite file, every tick has one decision and one job", arguments: ScheduleDrill.Mode.allCases)
        func sqlite(_ mode: ScheduleDrill.Mode) async throws {
            let folder = FileManager.default.temporaryDirectory.appending(path: "errand-chaos-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            try await run("sqlite", mode, on: "sqlite:" + folder.appending(path: "jobs.db").path)
        }

        @Test("on PostgreSQL, every tick has one decision and one job", arguments: ScheduleDrill.Mode.allCases)
        func postgres(_ mode: ScheduleDrill.Mode) async throws {
            let server = try PostgresServer(settings: ["max_connections = 300"])
            defer { server.remove() }
            try await run("postgres", mode, on: server.url())
        }

        @Test("on Redis, every tick has one decision and one job", arguments: ScheduleDrill.Mode.allCases)
        func redis(_ mode: ScheduleDrill.Mode) async throws {
            let server = try RedisServer()
            defer { server.kill() }
            try await run("redis", mode, on: server.url)
        }

        private func run(_ store: String, _ mode: ScheduleDrill.Mode, on url: String) async throws {
            let report = try await ScheduleDrill(mode: mode).run(store, on: url)
            print("schedules: \(report)")
            #expect(report.isClean, "\(report)")
            #expect(report.expected >= report.schedules * (report.seconds - 1), "\(report)")
        }
    }
}
