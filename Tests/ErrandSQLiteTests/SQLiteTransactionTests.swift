// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import GRDB
import Synchronization
import Testing

@testable import ErrandSQLite

@Suite("Jobs in the application's transaction", .timeLimit(.minutes(3)))
struct SQLiteTransactionTests {
    private struct Undone: Error {}

    private func open(_ bench: Bench) throws -> (DatabasePool, SQLiteStore) {
        let pool = try DatabasePool(path: bench.file)
        try pool.write { try $0.execute(sql: "CREATE TABLE orders (id INTEGER PRIMARY KEY, job TEXT)") }
        return (pool, try SQLiteStore(sharing: pool, clock: bench.clock))
    }

    @Test("a job exists exactly if the business row does, and is signalled after the commit")
    func together() async throws {
        let bench = try Bench()
        let (pool, store) = try open(bench)
        let signals = Signals(of: store.hub)
        let (undone, done) = (bench.job(), bench.job())
        await #expect(throws: Undone.self) {
            try await pool.write { db in
                try db.execute(sql: "INSERT INTO orders (job) VALUES ('undone')")
                try #expect(db.insert([undone], into: store) == [.stored(undone.id)])
                throw Undone()
            }
        }
        #expect(try await store.jobs([undone.id], parts: []).isEmpty)
        #expect(signals.all.isEmpty)
        try await pool.write { db in
            try db.execute(sql: "INSERT INTO orders (job) VALUES ('done')")
            try #expect(db.insert([done], into: store) == [.stored(done.id)])
            #expect(signals.all.isEmpty, "before the commit nobody is told")
        }
        #expect(signals.all == [.work([.default])])
        #expect(try await store.counts().count(.ready) == 1)
        #expect(try await store.maintain(.recount).affected == 0)
        try await store.close()
    }

    @Test("the end of a job and the application's writes are one commit")
    func completion() async throws {
        let bench = try Bench()
        let (pool, store) = try open(bench)
        let worker = try await bench.worker(in: store)
        let job = bench.job()
        _ = try await store.insert([job], offer: nil)
        let claimed = try #require(try await store.claim(bench.request(worker)).jobs.first)
        let result = Payload(bytes: Array("7".utf8))
        let followUp = bench.job()
        let settlement = Settlement(lease: claimed.lease, outcome: .succeeded(result: result), followUps: [followUp])
        await #expect(throws: Undone.self) {
            try await pool.write { db in
                try #expect(db.settle(settlement, in: store) == .applied(.succeeded))
                throw Undone()
            }
        }
        #expect(try await store.jobs([job.id], parts: .result).map(\.state) == [.running])
        try await pool.write { db in
            try db.execute(sql: "INSERT INTO orders (job) VALUES ('x')")
            try #expect(db.settle(settlement, in: store) == .applied(.succeeded))
        }
        let ended = try #require(try await store.jobs([job.id], parts: .result).first)
        #expect(ended.state == .succeeded)
        #expect(ended.result == result)
        #expect(try await store.jobs([followUp.id], parts: []).map(\.state) == [.ready])
        // The second effect is refused together with its rows.
        try await pool.write { db in try #expect(db.settle(settlement, in: store) == .leaseLost) }
        #expect(try await store.settle([settlement]) == [.leaseLost])
        try await store.close()
    }

    @Test("a refused follow-up is an error of the transaction, and what the application wrote before it stays")
    func refusedFollowUp() async throws {
        let bench = try Bench()
        let (pool, store) = try open(bench)
        let worker = try await bench.worker(in: store)
        let rule = UniqueRule(key: "k", conflict: .throwError)
        let (job, holder) = (bench.job(), bench.job(queue: "other") { $0.unique = rule })
        _ = try await store.insert([job, holder], offer: nil)
        let claimed = try #require(try await store.claim(bench.request(worker)).jobs.first)
        let followUps = [bench.job(), bench.job { $0.unique = rule }]
        let settlement = Settlement(lease: claimed.lease, outcome: .succeeded(result: nil), followUps: followUps)
        try await pool.write { db in
            try db.execute(sql: "INSERT INTO orders (job) VALUES ('kept')")
            do {
                _ = try db.settle(settlement, in: store)
                Issue.record("the settlement was not refused")
            } catch {
                #expect((error as? StoreError)?.code == .conflict)
            }
        }
        #expect(try await pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM orders") } == 1)
        #expect(try await store.jobs(followUps.map(\.id), parts: []).isEmpty)
        #expect(try await store.jobs([job.id], parts: []).map(\.state) == [.running])
        #expect(try await store.maintain(.recount).affected == 0)
        try await store.close()
    }

    @Test("any connection of the process to the same file will do")
    func otherConnection() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let queue = try DatabaseQueue(path: bench.file)
        let job = bench.job()
        try await queue.write { db in _ = try db.insert([job], into: store) }
        #expect(try await store.jobs([job.id], parts: []).map(\.id) == [job.id])
        try await store.close()
    }

    @Test("another file, no transaction and a reader are refused")
    func refused() async throws {
        let bench = try Bench()
        let (pool, store) = try open(bench)
        let elsewhere = try DatabaseQueue(path: bench.folder + "/other.db")
        let job = bench.job()
        #expect(await code { try await elsewhere.write { _ = try $0.insert([job], into: store) } } == .unsupported)
        #expect(
            await code { try await pool.writeWithoutTransaction { _ = try $0.insert([job], into: store) } } == .invalid
        )
        #expect(await code { try await pool.read { _ = try $0.insert([job], into: store) } } == .invalid)
        try await store.close()
        #expect(await code { try await pool.write { _ = try $0.insert([job], into: store) } } == .closed)
    }

    @Test("a refused call leaves the application's transaction as it was")
    func savepoint() async throws {
        let bench = try Bench()
        let (pool, store) = try open(bench)
        let (good, bad) = (bench.job(), bench.job(queue: ""))
        try await pool.write { db in
            try db.execute(sql: "INSERT INTO orders (job) VALUES ('kept')")
            let answers = try db.insert([good, bad], into: store)
            #expect(answers.map(\.id) == [good.id, nil])
        }
        #expect(try await pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM orders") } == 1)
        try await store.close()
    }

    @Test("64 callers with one unique key and random rollbacks: never no row after a success, never two")
    func race() async throws {
        let bench = try Bench()
        let (pool, store) = try open(bench)
        let generator = Mutex(SeededGenerator(seed: 20))
        for round in 0..<12 {
            let key = "order \(round)"
            let answers = try await withThrowingTaskGroup(of: InsertAnswer?.self) { group in
                for caller in 0..<64 {
                    let job = bench.job { $0.unique = UniqueRule(key: key) }
                    let rollsBack = generator.withLock { $0.next() % 3 == 0 }
                    group.addTask {
                        if caller.isMultiple(of: 4), !rollsBack {
                            return try await store.insert([job], offer: nil).first
                        }
                        return try? await pool.write { db in
                            let answer = try db.insert([job], into: store).first
                            if rollsBack { throw Undone() }
                            return answer
                        }
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let rows = try await store.list(JobFilter(uniqueKey: key), page: JobPageRequest()).jobs
            #expect(rows.count == 1)
            let told = Set(answers.compactMap { $0?.id })
            #expect(told == Set(rows.map(\.id)), "everybody who succeeded was told the row that is there")
            #expect(answers.count { if case .stored = $0 { true } else { false } } == 1)
        }
        #expect(try await store.maintain(.recount).affected == 0)
        try await store.close()
    }
}
