// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandSQLite
import ErrandTesting
import Foundation
import GRDB
import Testing

@Suite("SQLite conforms", .timeLimit(.minutes(5)))
struct SQLiteConformanceTests {
    /// A folder that lives as long as the case.
    private struct Folder: ~Copyable {
        let url = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("errand-\(UUID().uuidString)")

        init() throws {
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        }

        deinit { try? FileManager.default.removeItem(at: url) }

        var file: String { url.appendingPathComponent("jobs.db").path }
    }

    @Test("at .powerLoss", arguments: StoreConformance.cases)
    func powerLoss(_ example: StoreConformance.Case) async throws {
        try await run(example, SQLiteConfiguration())
    }

    @Test("at .processCrash", arguments: StoreConformance.cases)
    func processCrash(_ example: StoreConformance.Case) async throws {
        try await run(example, SQLiteConfiguration(durability: .processCrash))
    }

    private func run(_ example: StoreConformance.Case, _ configuration: SQLiteConfiguration) async throws {
        let folder = try Folder()
        let file = folder.file
        let open: StoreConformance.Factory = { clock in
            try SQLiteStore(path: file, configuration: configuration, clock: clock)
        }
        try await example.run(make: open, reopen: open)
    }

    @Test("in the application's own pool", arguments: StoreConformance.cases)
    func sharing(_ example: StoreConformance.Case) async throws {
        let folder = try Folder()
        let pool = try DatabasePool(path: folder.file)
        let open: StoreConformance.Factory = { clock in try SQLiteStore(sharing: pool, clock: clock) }
        try await example.run(make: open, reopen: open)
        try pool.close()
    }
}
