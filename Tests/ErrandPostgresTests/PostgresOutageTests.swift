// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandPostgres
import Foundation
import TestServers
import Testing

@Suite("PostgreSQL: outages", .serialized, .timeLimit(.minutes(3)))
struct PostgresOutageTests {
    /// Repeats a call until it works.
    /// - Returns: How long that took, and the errors on the way.
    private func recovery(_ call: () async throws -> Void) async throws -> (time: Duration, errors: [StoreError]) {
        let start = SystemClock.shared.uptime
        var errors: [StoreError] = []
        while true {
            do {
                try await call()
                return (SystemClock.shared.uptime - start, errors)
            } catch let error as StoreError {
                guard error.isTransient else { throw error }
                errors.append(error)
                try await SystemClock.shared.sleep(for: .milliseconds(20))
            }
            guard SystemClock.shared.uptime - start < .seconds(30) else { throw errors[errors.count - 1] }
        }
    }

    @Test("a server that is killed and comes back is found again within 10 s, and what was acknowledged is there")
    func killed() async throws {
        let server = try PostgresServer()
        defer { server.remove() }
        let bench = try PostgresBench(server)
        let store = try bench.open { $0.wakeUp = .listen }
        var stored: [JobID] = []
        for signal in [SIGQUIT, SIGKILL, SIGINT] {
            let job = bench.job()
            _ = try await recovery { _ = try await store.insert([job], offer: nil) }
            stored.append(job.id)
            server.stop(signal)
            let error = await storeError("a call while the server is away") { _ = try await store.counts() }
            #expect(error?.isTransient == true)
            #expect(await store.describe().warnings.contains { $0.contains("cannot be reached") })
            try server.start()
            let (time, _) = try await recovery { _ = try await store.counts() }
            #expect(time < .seconds(10), "recovered after \(time)")
        }
        #expect(try await store.jobs(stored, parts: []).map(\.id) == stored)
        try await store.close()
    }

    @Test("a server that is frozen costs each call its limit and no more, and goes on when it thaws")
    func frozen() async throws {
        let server = try PostgresServer()
        defer { server.remove() }
        let bench = try PostgresBench(server)
        let store = try bench.open { $0.statementTimeout = .milliseconds(200) }
        let job = bench.job()
        _ = try await store.insert([job], offer: nil)
        server.freeze()
        let start = SystemClock.shared.uptime
        let error = await storeError("a write on a frozen server") {
            _ = try await store.insert([bench.job()], offer: nil)
        }
        #expect(error?.code == .outcomeUnknown)
        let refused = await storeError("the next call") { _ = try await store.counts() }
        #expect(refused?.isTransient == true)
        #expect(SystemClock.shared.uptime - start < .seconds(25))
        server.thaw()
        let (time, _) = try await recovery { _ = try await store.jobs([job.id], parts: []) }
        #expect(time < .seconds(10), "recovered after \(time)")
        try await store.close()
    }

    @Test("connections that are ended one by one are replaced without an error to callers that only read")
    func terminated() async throws {
        let bench = try PostgresBench()
        let store = try bench.open()
        _ = try await store.counts()
        for _ in 0..<5 {
            try bench.server.psql(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'errand' AND query LIKE '%\(bench.schema)%'"
            )
            let (_, errors) = try await recovery { _ = try await store.counts() }
            #expect(errors.count <= 1)
        }
        try await store.close()
    }

    @Test("while the server is away calls fail at once")
    func breaker() async throws {
        let free = try ReservedPort()
        let bench = try PostgresBench()
        let store = try bench.open("postgres://127.0.0.1:\(free.number)/x")
        let start = SystemClock.shared.uptime
        for _ in 0..<200 { _ = await storeError("a call") { _ = try await store.counts() } }
        #expect(SystemClock.shared.uptime - start < .seconds(5))
        try await store.close()
        #expect(await storeError("a closed store") { _ = try await store.counts() }?.code == .closed)
    }
}
