// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Foundation
import Testing

/// `CHAOS_JOBS=50000 CHAOS_FAULTS=200 swift test --filter ChaosTests` is the long form.
@Suite("Chaos", .serialized, .timeLimit(.minutes(30)))
struct ChaosTests {
    @Test("three worker processes on one SQLite file, killed and frozen: nothing is lost, nothing ends twice")
    func sqlite() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "errand-chaos-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let run = ChaosRun()
        let report = try await run.run(on: "sqlite:" + folder.appending(path: "jobs.db").path)
        print("chaos (sqlite): CHAOS_SEED=\(run.seed), \(report)")
        #expect(report.isClean, "CHAOS_SEED=\(run.seed): \(report)")
        #expect(report.acknowledged >= run.jobs * 9 / 10)
        #expect(report.faults.values.reduce(0, +) == run.faults)
    }
}
