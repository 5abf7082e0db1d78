// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandRedis
import ErrandSQLite
import Foundation
import GRDB
import TestServers
import Testing

private struct Invoice: Job {
    static let name: JobName = "invoice"
    let order: Int
}

@Suite("A transaction of the application's own")
struct RedisTransactionTests {
    @Test("cannot hold a job of this store, which says so and stores nothing")
    func unsupported() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let jobs = JobClient(store: store)
        let file = NSTemporaryDirectory() + "errand-\(UUID().uuidString).db"
        let pool = try DatabasePool(path: file)
        let error = await failure {
            try await pool.write { database in _ = try jobs.enqueue(Invoice(order: 1), in: database) }
        }
        #expect(error?.code == .unsupported)
        #expect(await store.describe().hasTransactions == false)
        #expect(try await store.counts().count() == 0)
        try pool.close()
        try FileManager.default.removeItem(atPath: file)
        try await store.close()
    }
}
