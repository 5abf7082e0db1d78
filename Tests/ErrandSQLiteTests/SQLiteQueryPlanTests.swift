// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation
import GRDB
import GRDBSQLite
import Testing

@testable import ErrandSQLite

@Suite("SQLite query plans", .timeLimit(.minutes(3)))
struct SQLiteQueryPlanTests {
    /// Statements that may walk a whole table: small ones, those that read the first rows of one and no more, and the
    /// recount, which is made for it.
    private static let scans: Set<SQLiteQuery> = [
        .groupJobs, .allTallies, .allControls, .allWorkers, .newestAudit, .newestJobs, .lanesAfter,
        .openExport, .anyDeparture, .oldestAudit, .oldestCounters,
    ]

    /// Statements that may sort: what is running, who works and what is ahead of the clock is little, and the recount
    /// walks everything anyway.
    private static let sorts: Set<SQLiteQuery> = [.runningJobs, .allWorkers, .groupJobs, .schedulesAhead]

    @Test("no statement walks a table that grows", arguments: SQLiteQuery.allCases)
    func plans(_ query: SQLiteQuery) async throws {
        let bench = try Bench()
        let store = try bench.open()
        try await store.write { session, _ in
            guard !query.sql.hasPrefix("SAVEPOINT"), !query.sql.hasPrefix("RELEASE"), !query.sql.hasPrefix("ROLLBACK")
            else { return }
            let statement = try session.db.makeStatement(sql: "EXPLAIN QUERY PLAN " + query.sql)
            // A plan does not ask for the values.
            statement.setUncheckedArguments(StatementArguments())
            let plan = try Row.fetchAll(statement).map { $0["detail"] as String? ?? "" }
            if !Self.scans.contains(query) {
                #expect(!plan.contains { $0.hasPrefix("SCAN errand") }, "\(query): \(plan)")
            }
            #expect(Self.sorts.contains(query) || !plan.contains { $0.contains("TEMP B-TREE") }, "\(query): \(plan)")
        }
        try await store.close()
    }

    /// How many steps of SQLite's machine a claim takes while `count` rows lie around that it cannot claim.
    private func steps(around count: Int) async throws -> Int {
        let bench = try Bench()
        let store = try bench.open { $0.durability = .processCrash }
        let worker = try await bench.worker(in: store)
        try await store.setControls([.pause(.queue("paused"), actor: "ada", reason: "test", lasting: nil)])
        _ = try await store.insert((0..<count).map { _ in bench.job { $0.start = .after(.days(300)) } }, offer: nil)
        _ = try await store.insert((0..<count).map { _ in bench.job(queue: "paused") }, offer: nil)
        _ = try await store.insert((0..<count).map { _ in bench.job("unknown") }, offer: nil)
        _ = try await store.insert((0..<count).map { _ in bench.job { $0.payload.version = 9 } }, offer: nil)
        let held = (0..<count).map { _ in bench.job() }
        _ = try await store.insert(held, offer: nil)
        let hold = Operation(.hold(lasting: nil), on: .ids(held.map(\.id)), actor: "ada", reason: "test", limit: count)
        #expect(try await store.operate(hold).changed.count == count)
        _ = try await store.insert((0..<count).map { _ in bench.job() }, offer: nil)
        let finished = try await store.claim(bench.request(worker, limit: count)).jobs
        let settled = try await store.settle(
            finished.map { Settlement(lease: $0.lease, outcome: .succeeded(result: nil)) }
        )
        #expect(settled == Array(repeating: .applied(.succeeded), count: count))
        _ = try await store.insert((0..<5).map { _ in bench.job() }, offer: nil)
        _ = try await store.claim(bench.request(worker, limit: 1))
        let before = try await steps(of: store)
        #expect(try await store.claim(bench.request(worker, limit: 1)).jobs.count == 1)
        let after = try await steps(of: store)
        try await store.close()
        return after - before
    }

    private func steps(of store: SQLiteStore) async throws -> Int {
        try await store.write { session, _ in
            var sum = 0
            var statement = sqlite3_next_stmt(session.connection, nil)
            while let current = statement {
                sum += Int(sqlite3_stmt_status(current, SQLITE_STMTSTATUS_VM_STEP, 0))
                statement = sqlite3_next_stmt(session.connection, current)
            }
            return sum
        }
    }

    @Test("the cost of a claim does not grow with rows that cannot be claimed")
    func flat() async throws {
        let few = try await steps(around: 10)
        let many = try await steps(around: 3000)
        #expect(few > 0)
        #expect(Double(many) < Double(few) * 1.2, "\(few) steps beside 10 rows of each kind, \(many) beside 3,000")
    }
}
