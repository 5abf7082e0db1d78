// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Foundation
import GRDB
import Testing

@testable import ErrandSQLite

extension PowerCut {
    /// Opens what is left and compares it with what was promised.
    func inspect(
        _ path: String,
        _ promises: [JobID: Acknowledgements.Promise],
        _ outcome: inout Outcome
    ) async throws {
        guard Self.isWhole(path) else {
            outcome.damaged = 1
            return
        }
        // On a real disk, which need not flush.
        var configuration = configuration(1000)
        configuration.durability = .processCrash
        let store = try SQLiteStore(path: path, configuration: configuration)
        outcome.acknowledged = promises.count
        let records = try await store.jobs(Array(promises.keys), parts: [])
        outcome.lost = promises.count - records.count
        outcome.undone = records.count { promises[$0.id]?.isKept(by: $0) == false }
        outcome.miscounted = try await store.maintain(.recount).affected
        outcome.parted = try await isShared ? parted(in: store) : 0
        // What ran can run again.
        _ = try await store.maintain(.rescue(silence: .zero))
        #expect(try await store.count(JobFilter(states: [.running]), limit: 1).value == 0)
        // It takes new jobs.
        let new = try await JobClient(store: store).enqueue(Parcel(number: 1, size: 0))
        #expect(try await new.record().state == .ready)
        try await store.close()
    }

    /// By SQLite itself, before anything of ours looks at it.
    private static func isWhole(_ path: String) -> Bool {
        do {
            let plain = try DatabaseQueue(path: path)
            defer { try? plain.close() }
            return try plain.read { try String.fetchAll($0, sql: "PRAGMA integrity_check") } == ["ok"]
        } catch {
            return false
        }
    }

    private func parted(in store: SQLiteStore) async throws -> Int {
        let rows = try await store.pool.read { db in
            guard try db.tableExists("orders") else { return [String]() }
            return try String.fetchAll(db, sql: "SELECT job FROM orders")
        }
        let page = try await store.list(JobFilter(queues: [Self.orders]), page: JobPageRequest(limit: 1000))
        return Set(rows).symmetricDifference(page.jobs.map(\.id.description)).count
    }
}
