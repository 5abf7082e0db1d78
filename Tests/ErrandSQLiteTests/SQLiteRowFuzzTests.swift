// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Foundation
import GRDB
import Testing

@testable import ErrandSQLite

/// Rows that bit rot, another build or somebody's SQL changed, for `FUZZ_SECONDS` (3); `FUZZ_SEED` repeats a run.
@Suite("Anything may stand in a row", .timeLimit(.minutes(5)))
struct SQLiteRowFuzzTests {
    /// What belongs to one job.
    private static let jobTables = [
        "errand_jobs", "errand_details", "errand_attempts", "errand_job_log", "errand_checkpoints", "errand_results",
    ]
    /// What jobs share.
    private static let sharedTables = [
        "errand_lanes", "errand_retry_policies", "errand_worker_ids", "errand_workers", "errand_unique_keys",
        "errand_controls", "errand_audit", "errand_tallies", "errand_counters", "errand_job_tags",
    ]

    @Test("a job whose row is damaged does not keep the others from their end, and nothing traps")
    func jobs() async throws {
        try await run("rows of jobs", Self.jobTables) { town, again in
            try await town.damage(Self.jobTables)
            try await town.workOn()
            try await town.damage(Self.jobTables)
            try await town.liveOn()
            try await town.expectOthersDone(again)
        }
    }

    @Test("damage to what jobs share is an error of the store at worst, never a trap")
    func shared() async throws {
        try await run("rows that jobs share", Self.sharedTables) { town, _ in
            try await town.damage(Self.sharedTables)
            try await town.workOn()
            try await town.damage(Self.sharedTables + Self.jobTables)
            try await town.liveOn()
        }
    }

    private func run(
        _ name: String,
        _ tables: [String],
        _ story: (DamagedTown, String) async throws -> Void
    ) async throws {
        let run = FuzzRun(ProcessInfo.processInfo.environment)
        print("fuzz \(name): \(run)")
        var struck: Set<String> = []
        let report = try await run.rounds(of: name) { generator, again in
            let town = try await DamagedTown(generator)
            do {
                try await story(town, again)
            } catch {
                Issue.record("\(error) after \(town.damages.joined(separator: "; ")), \(again)")
            }
            try await town.close()
            struck.formUnion(town.damages.compactMap { $0.split(separator: " ").first.map(String.init) })
        }
        print("\(report), \(struck.count) columns")
    }
}
