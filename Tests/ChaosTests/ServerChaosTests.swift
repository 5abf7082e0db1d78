// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Foundation
import TestServers
import Testing

extension ChaosTests {
    @Test("three worker processes on PostgreSQL, behind a bad network, with a server that crashes: the same")
    func postgres() async throws {
        let server = try PostgresServer()
        defer { server.remove() }
        let proxy = try await FaultProxy.start(to: .port(server.port))
        let through = server.url().replacing(":\(server.port)/", with: ":\(proxy.port)/")
        let crash = ChaosFault("crash-server") { _, _ in try server.restart(SIGQUIT) }
        try await run("postgres", on: through, direct: server.url(), proxy, crash)
    }

    @Test("three worker processes on Redis, behind a bad network, with a server that crashes: the same")
    func redis() async throws {
        let server = try RedisServer()
        defer { server.kill() }
        let proxy = try await FaultProxy.start(to: .port(server.port))
        let crash = ChaosFault("crash-server") { _, _ in
            server.kill()
            try server.start()
        }
        try await run("redis", on: "redis://127.0.0.1:\(proxy.port)", direct: server.url, proxy, crash)
    }

    private func run(
        _ name: String,
        on url: String,
        direct: String,
        _ proxy: FaultProxy,
        _ crash: ChaosFault
    ) async throws {
        var run = ChaosRun()
        run.kinds += ChaosFault.ofNetwork(proxy) + [crash]
        let report = try await run.run(on: url, direct: direct) { try await ChaosFault.healed(proxy) }
        print("chaos (\(name)): CHAOS_SEED=\(run.seed), \(report)")
        #expect(report.isClean, "CHAOS_SEED=\(run.seed): \(report)")
        #expect(report.acknowledged >= run.jobs * 9 / 10)
        #expect(report.faults.values.reduce(0, +) == run.faults)
    }
}
