// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation

/// One cut: a store works on a volatile disk until the power goes, and is then opened on what is left.
struct PowerCut {
    /// How a cut is made; the same for both durabilities.
    struct Plan: Sendable {
        var seed: UInt64
        var cut: VolatileDisk.Cut
        /// The database is made under the cut, too.
        var startsEmpty: Bool
        /// Two stores use the file at once, as two processes would.
        var isCrowded = false
        /// How long the log becomes before it is copied; few, so that it is copied again and again.
        var checkpointPages = 24
    }

    /// What one or several cuts came to.
    struct Outcome: Sendable {
        var cuts = 0
        var acknowledged = 0
        /// Acknowledged jobs that are not there.
        var lost = 0
        /// Acknowledged claims and ends that are not there, of jobs that are.
        var undone = 0
        /// Cuts that cost something.
        var costly = 0
        var torn = 0
        var inCheckpoint = 0
        var inCommit = 0
        var damaged = 0
        var miscounted = 0
        /// Jobs without the application's row that was committed with them, or the other way round.
        var parted = 0

        static func += (total: inout Outcome, one: Outcome) {
            total.cuts += one.cuts
            total.acknowledged += one.acknowledged
            total.lost += one.lost
            total.undone += one.undone
            total.costly += one.costly
            total.torn += one.torn
            total.inCheckpoint += one.inCheckpoint
            total.inCommit += one.inCommit
            total.damaged += one.damaged
            total.miscounted += one.miscounted
            total.parted += one.parted
        }
    }

    /// A database that was made and closed in peace.
    let template: [String: Data]
    var durability: StoreDescription.Durability
    /// The jobs live in the application's own pool, and some are enqueued in its transactions.
    var isShared = false
    /// The disk says that it flushed and did not.
    var diskLies = false

    func run(_ plan: Plan) async throws -> Outcome {
        var outcome = Outcome(cuts: 1)
        let promises = Acknowledgements()
        let wreck = try await withTemporaryFolder { folder in
            try await work(in: folder, plan, promises).wreck
        }
        outcome.inCheckpoint = wreck.moment == .checkpoint ? 1 : 0
        outcome.inCommit = wreck.moment == .commit ? 1 : 0
        outcome.torn = wreck.isTorn ? 1 : 0
        try await withTemporaryFolder { folder in
            for (name, content) in wreck.files { try content.write(to: URL(filePath: "\(folder)/\(name)")) }
            // Nobody flushes the index of the log: anything may be in it.
            if plan.seed.isMultiple(of: 2), wreck.files["jobs.db-wal"] != nil {
                let junk = Data(repeating: UInt8(truncatingIfNeeded: plan.seed >> 8), count: 32 << 10)
                try junk.write(to: URL(filePath: "\(folder)/jobs.db-shm"))
            }
            try await inspect("\(folder)/jobs.db", promises.all, &outcome)
        }
        outcome.costly = outcome.lost + outcome.undone > 0 ? 1 : 0
        return outcome
    }

    /// How many calls the work makes that could be the last.
    func countCalls(_ plan: Plan) async throws -> (all: Int, checkpoints: Int) {
        try await withTemporaryFolder { try await work(in: $0, plan, Acknowledgements()).calls }
    }
}

/// Runs `body` with a new folder, its path as SQLite sees it, that is gone afterwards.
func withTemporaryFolder<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let folder = FileManager.default.temporaryDirectory.appending(path: "errand-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try await body(folder.resolvingSymlinksInPath().path)
}
