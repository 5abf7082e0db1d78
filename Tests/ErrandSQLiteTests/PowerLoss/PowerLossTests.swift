// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation
import Testing

@testable import ErrandSQLite

/// `kill -9` leaves what was written in the kernel's memory and proves nothing about power cuts, so here the disk is
/// ours. `POWER_CUTS` makes more cuts, `POWER_SEED` repeats those of a run.
@Suite("Power loss", .timeLimit(.minutes(60)))
struct PowerLossTests {
    @Test("a power cut at any write or flush loses no acknowledged job at .powerLoss; at .processCrash it does")
    func cuts() async throws {
        let environment = ProcessInfo.processInfo.environment
        let count = environment["POWER_CUTS"].flatMap(Int.init) ?? 200
        let seed = environment["POWER_SEED"].flatMap(UInt64.init) ?? .random(in: .min ... .max)
        let start = SystemClock.shared.uptime
        let template = try await Self.template()
        let plans = try await Self.plans(count, seed, template)
        let safe = try await Self.run(plans, PowerCut(template: template, durability: .powerLoss))
        let fast = try await Self.run(plans, PowerCut(template: template, durability: .processCrash))
        let seconds = ((SystemClock.shared.uptime - start).inSeconds * 10).rounded() / 10
        print(
            "power loss: POWER_SEED=\(seed), \(count) cuts each; .powerLoss: \(safe.acknowledged) acknowledged jobs, "
                + "\(safe.lost) lost, \(safe.undone) claims or ends undone; .processCrash: \(fast.acknowledged), "
                + "\(fast.lost) lost, \(fast.undone) undone; torn \(safe.torn) + \(fast.torn), within checkpoints "
                + "\(safe.inCheckpoint) + \(fast.inCheckpoint), within commits \(safe.inCommit) + \(fast.inCommit), "
                + "integrity failures \(safe.damaged + fast.damaged), wrong counts "
                + "\(safe.miscounted + fast.miscounted); \(seconds) s"
        )
        #expect(safe.cuts == count && fast.cuts == count)
        #expect(safe.acknowledged > count)
        #expect(safe.lost == 0)
        #expect(safe.undone == 0)
        #expect(fast.lost > 0, "the test cannot see a loss")
        #expect(safe.damaged + fast.damaged == 0)
        #expect(safe.miscounted + fast.miscounted == 0)
        #expect(safe.torn > 0 && safe.inCheckpoint > 0 && safe.inCommit > 0)
    }

    private static func template() async throws -> [String: [UInt8]] {
        try await withTemporaryFolder { folder in
            try await SQLiteStore(path: folder + "/jobs.db").close()
            return ["jobs.db": [UInt8](try Data(contentsOf: URL(filePath: folder + "/jobs.db")))]
        }
    }

    /// Three of four cuts are anywhere, one is within a checkpoint; one of eight starts without a database.
    private static func plans(
        _ count: Int,
        _ seed: UInt64,
        _ template: [String: [UInt8]]
    ) async throws -> [PowerCut.Plan] {
        let cut = PowerCut(template: template, durability: .powerLoss)
        let usual = try await cut.countCalls(.init(seed: seed, cut: .never, startsEmpty: false))
        let empty = try await cut.countCalls(.init(seed: seed, cut: .never, startsEmpty: true))
        var chance = SeededGenerator(seed: seed)
        return (0..<count)
            .map { number in
                let calls = number.isMultiple(of: 8) ? empty : usual
                let isInCheckpoint = number % 4 == 1
                return PowerCut.Plan(
                    seed: chance.next(),
                    cut: isInCheckpoint
                        ? .checkpoint(.random(in: 1...max(calls.checkpoints, 1), using: &chance))
                        : .call(.random(in: 1...calls.all, using: &chance)),
                    startsEmpty: number.isMultiple(of: 8)
                )
            }
    }

    private static func run(_ plans: [PowerCut.Plan], _ cut: PowerCut) async throws -> PowerCut.Outcome {
        try await withThrowingTaskGroup(of: PowerCut.Outcome.self) { group in
            var total = PowerCut.Outcome()
            for (number, plan) in plans.enumerated() {
                if number >= 4, let outcome = try await group.next() { total += outcome }
                group.addTask { try await cut.run(plan) }
            }
            for try await outcome in group { total += outcome }
            return total
        }
    }
}
