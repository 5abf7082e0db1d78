// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import GRDB
import Synchronization
import Testing

@testable import ErrandSQLite

private struct Order: Job {
    static let name: JobName = "order"
    let number: Int
}

@Suite("Completing a job in a transaction", .timeLimit(.minutes(3)))
struct SQLiteCompletionTests {
    @Test("a job that completes itself in the application's transaction has succeeded, with its last log line")
    func completes() async throws {
        let bench = try Bench()
        let pool = try DatabasePool(path: bench.file)
        try await pool.write { db in try db.execute(sql: "CREATE TABLE orders (number INTEGER)") }
        let store = try SQLiteStore(sharing: pool, clock: bench.clock)
        let harness = ErrandHarness(clock: bench.clock, store: store) { handlers, _ in
            handlers.add(Order.self) { order, context in
                context.log("booking")
                try await pool.write { db in
                    try db.execute(sql: "INSERT INTO orders VALUES (?)", arguments: [order.number])
                    try context.complete(in: db)
                }
                context.log("too late to be kept")
            }
        }
        let seen = Mutex<[String]>([])
        let registration = harness.events.observe { event in
            switch event {
            case .leaseLost: seen.withLock { $0.append("lost") }
            case .ended(_, _, _, let state, _): seen.withLock { $0.append(state.word) }
            default: break
            }
        }
        let handle = try await harness.client.enqueue(Order(number: 7))
        try await harness.runDue()
        registration.cancel()
        #expect(seen.withLock { $0 } == ["succeeded"])
        let record = try await handle.record(parts: .all)
        #expect(record.state == .succeeded)
        #expect(record.log.map(\.message) == ["booking"])
        #expect(try await pool.read { try Int.fetchAll($0, sql: "SELECT number FROM orders") } == [7])
        try await store.close()
        try pool.close()
    }
}
