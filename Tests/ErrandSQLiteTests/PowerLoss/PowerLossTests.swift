// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation
import Testing

@testable import ErrandSQLite

private enum Environment {
    /// How many cuts are wished.
    static let cuts = ProcessInfo.processInfo.environment["POWER_CUTS"].flatMap(Int.init)
    static let seed = ProcessInfo.processInfo.environment["POWER_SEED"].flatMap(UInt64.init)
}

/// `kill -9` leaves what was written in the kernel's memory and proves nothing about power cuts, so here the disk is
/// ours. `POWER_CUTS` makes more cuts, `POWER_SEED` repeats the cuts of a run.
@Suite("Power loss", .serialized, .timeLimit(.minutes(Environment.cuts == nil ? 10 : 600)))
struct PowerLossTests {
    private let seed = Environment.seed ?? .random(in: .min ... .max)

    @Test("a power cut at any write or flush loses no acknowledged job at .powerLoss; at .processCrash it does")
    func ownFile() async throws {
        let count = Environment.cuts ?? 200
        let (safe, fast) = try await run(count, isShared: false)
        #expect(safe.acknowledged > count)
        #expect(safe.lost == 0)
        #expect(safe.undone == 0)
        #expect(fast.lost > 0, "the test cannot see a loss")
        #expect(safe.damaged + fast.damaged == 0)
        #expect(safe.miscounted + fast.miscounted == 0)
        #expect(safe.torn > 0 && safe.inCheckpoint > 0 && safe.inCommit > 0)
    }

    @Test("a power cut parts no job from the application's row that was committed with it, at either durability")
    func sharedFile() async throws {
        let (safe, fast) = try await run(max((Environment.cuts ?? 200) / 5, 20), isShared: true)
        #expect(safe.lost == 0)
        #expect(safe.undone == 0)
        #expect(fast.costly > 0, "the test cannot see a loss")
        #expect(safe.damaged + fast.damaged == 0)
        #expect(safe.parted + fast.parted == 0)
    }

    @Test("a disk that lies about its flushes loses jobs or the file at any durability, and the test sees it")
    func lyingDisk() async throws {
        let template = try await Self.template()
        let cut = PowerCut(template: template, durability: .powerLoss, diskLies: true)
        var chance = SeededGenerator(seed: seed)
        let plans = (0..<12)
            .map { _ in
                PowerCut.Plan(
                    seed: chance.next(),
                    cut: .call(.random(in: 300...600, using: &chance)),
                    startsEmpty: false
                )
            }
        let outcome = try await Self.run(plans, cut)
        #expect(outcome.lost > 0)
        #expect(outcome.damaged > 0)
    }

    // MARK: Many cuts

    private func run(
        _ count: Int,
        isShared: Bool
    ) async throws -> (safe: PowerCut.Outcome, fast: PowerCut.Outcome) {
        let start = SystemClock.shared.uptime
        var cut = PowerCut(template: try await Self.template(), durability: .powerLoss, isShared: isShared)
        let plans = try await Self.plans(count, seed, cut)
        let safe = try await Self.run(plans, cut)
        cut.durability = .processCrash
        let fast = try await Self.run(plans, cut)
        let seconds = ((SystemClock.shared.uptime - start).inSeconds * 10).rounded() / 10
        print(
            "power loss\(isShared ? " in a shared pool" : ""): POWER_SEED=\(seed), \(count) cuts each; .powerLoss: "
                + "\(safe.acknowledged) acknowledged jobs, \(safe.lost) lost, \(safe.undone) claims or ends undone; "
                + ".processCrash: \(fast.acknowledged), \(fast.lost) lost, \(fast.undone) undone, in \(fast.costly) cuts; "
                + "torn \(safe.torn) + \(fast.torn), within checkpoints \(safe.inCheckpoint) + \(fast.inCheckpoint), "
                + "within commits \(safe.inCommit) + \(fast.inCommit), "
                + "integrity failures \(safe.damaged + fast.damaged), wrong counts "
                + "\(safe.miscounted + fast.miscounted), parted \(safe.parted + fast.parted); \(seconds) s"
        )
        #expect(safe.cuts == count && fast.cuts == count)
        return (safe, fast)
    }

    private static func template() async throws -> [String: Data] {
        try await withTemporaryFolder { folder in
            try await SQLiteStore(path: folder + "/jobs.db").close()
            return ["jobs.db": try Data(contentsOf: URL(filePath: folder + "/jobs.db"))]
        }
    }

    /// Three of four cuts are anywhere, one is within a checkpoint; one of eight starts without a database, of
    /// five one has two stores.
    private static func plans(_ count: Int, _ seed: UInt64, _ cut: PowerCut) async throws -> [PowerCut.Plan] {
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
                    startsEmpty: number.isMultiple(of: 8),
                    isCrowded: number % 5 == 2,
                    checkpointPages: isInCheckpoint || number.isMultiple(of: 2) ? 24 : 200
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
