// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import TestServers
import Testing

@testable import ErrandRedis

@Suite("Moving over a network that fails", .timeLimit(.minutes(3)), .serialized)
struct RedisTransferCutTests {
    @Test(
        "connections are cut at any call: nothing is lost, doubled or changed",
        arguments: 1...4 as ClosedRange<UInt64>
    )
    func cuts(seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let bench = try Bench()
        let proxy = try await FaultProxy.start(to: .port(bench.server.port))
        var settings = RedisStoreConfiguration(name: bench.name)
        // A machine that is busy with something else must not look like a lost answer.
        (settings.wakeUp, settings.commandTimeLimit) = (.poll, .minutes(1))
        let redis = try RedisStore(
            url: "redis://127.0.0.1:\(proxy.port)",
            configuration: settings,
            time: bench.clock
        )
        let direct = try bench.openManual()
        let first = MemoryStore(clock: bench.clock)
        let last = MemoryStore(clock: bench.clock)
        try await StoreConformance.fill(first, clock: bench.clock)
        let before = try await StoreContents(of: first)
        let moves: [(any JobStore, any JobStore, any JobStore)] = [(first, redis, direct), (redis, last, last)]
        for (number, (source, destination, seen)) in moves.enumerated() {
            for cut in FaultProxy.Cut.allCases {
                // Few enough that the move's patience outlasts them, should all hit the repeats of one call.
                for _ in 0..<3 { proxy.cut(cut, at: Int.random(in: 1...60, using: &generator)) }
            }
            let cuts = proxy.counts.cuts
            var configuration = StoreTransferConfiguration()
            (configuration.batchLimit, configuration.destinationName) = (3, "there")
            let report = try await StoreTransfer(from: source, to: destination, configuration: configuration).run()
            proxy.forgetCuts()
            let when = "seed \(seed), move \(number)"
            #expect(proxy.counts.cuts > cuts, "\(when): nothing was cut")
            #expect((report.jobs, report.left) == (before.jobs.count, 0), "\(when)")
            #expect((report.present, report.keyless) == (0, 0), "\(when)")
            for difference in before.differences(from: try await StoreContents(of: seen)) {
                Issue.record("\(when): \(difference)")
            }
        }
        #expect(try await direct.counts().rows.isEmpty, "seed \(seed)")
        #expect(try await direct.maintain(.recount).affected == 0, "seed \(seed)")
        try await redis.close()
        try await direct.close()
        try await proxy.close()
    }
}
