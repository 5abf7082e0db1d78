// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

@Suite("Broken versions")
struct BrokenStoreTests {
    /// A flaw that needs more seeds than this is a hole in the workload.
    private static let bound = 150

    @Test("the simulation finds out every broken version of the store within a few seeds")
    func table() async throws {
        let found = Findings()
        try await withThrowingTaskGroup(of: Void.self) { group in
            let (lines, continuation) = AsyncStream.makeStream(of: Flaw.self)
            for flaw in Flaw.allCases { continuation.yield(flaw) }
            continuation.finish()
            for _ in 0..<SimulationTests.threads {
                group.addTask {
                    for await flaw in lines {
                        let total = try await Campaign(base: 1, flaw: flaw).run(threads: 1) { $0 < Self.bound }
                        guard let failed = total.failed.first, let first = failed.result.violations.first else {
                            continue
                        }
                        found.rows.withLock { $0[flaw] = (first.id, total.seeds) }
                    }
                }
            }
            try await group.waitForAll()
        }
        for flaw in Flaw.allCases {
            let row = found.rows.withLock { $0[flaw] }
            let result = row.map { "\($0.id), \($0.seeds) seeds" } ?? "not found in \(Self.bound) seeds"
            print("broken: \(flaw.rawValue): \(result)")
            #expect(row != nil, "nobody noticed that \(flaw.rawValue)")
            #expect(row.map { flaw.breaks.contains($0.id) } ?? true, "\(flaw) was found as \(row?.id ?? "")")
        }
    }

    @Test("a broken version shrinks to a story of a few lines that a reader can follow")
    func shrinking() async throws {
        let story = try await SimulationTests.alone {
            for seed in 1...UInt64(Self.bound) {
                let plan = SimulationPlan(seed: seed)
                let result = SimulatedRun(plan, flaw: .unfencedSettle).run()
                guard let violation = result.violations.first(where: { $0.id == "S5" }) else { continue }
                var shrinking = Shrinking(plan, result, id: violation.id, flaw: .unfencedSettle)
                shrinking.shrink()
                return shrinking.story()
            }
            return ""
        }
        print(story)
        let lines = story.split(separator: "\n")
        #expect(lines.count > 5 && lines.count <= 40, "\(lines.count) lines")
        #expect(story.contains("S5"))
    }
}

private final class Findings: Sendable {
    let rows = Mutex<[Flaw: (id: String, seeds: Int)]>([:])
}
