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

    @Test(
        "a store that breaks a promise is found out",
        arguments: [("unfenced", ["S3", "S5", "S22"]), ("forgetful", ["S1"]), ("stuck", ["S1"])]
    )
    func flawed(_ flaw: String, _ promises: [String]) async throws {
        // Whether a frozen worker comes back with a write is chance; not whether one of many does.
        for attempt in 1...6 {
            let folder = FileManager.default.temporaryDirectory.appending(path: "errand-chaos-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            var run = ChaosRun()
            (run.jobs, run.faults, run.patience) = (3000, 12, .seconds(8))
            run.kinds = [.freezeWorker]
            let url = "sqlite:" + folder.appending(path: "jobs.db").path
            let report = try await run.run(on: "flawed-\(flaw)+\(url)", direct: url)
            print("chaos (\(flaw)): CHAOS_SEED=\(run.seed), run \(attempt), \(report.broken)")
            if promises.contains(where: { report.broken[$0] != nil }) { return }
        }
        Issue.record("six runs on a store that is \(flaw) and nothing was found")
    }
}
