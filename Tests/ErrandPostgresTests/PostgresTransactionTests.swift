// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandPostgres
import ErrandTesting
import Synchronization
import TestServers
import Testing

@Suite("PostgreSQL: jobs in the application's own transaction", .timeLimit(.minutes(2)))
struct PostgresTransactionTests {
    private struct Undone: Error {}

    @Test("a job exists exactly if the transaction commits, and the wake-up follows the commit")
    func together() async throws {
        let bench = try PostgresBench()
        let store = try bench.open()
        let connection = try await bench.connect()
        let heard = Mutex(0)
        _ = store.hub.subscribe { if case .work = $0 { heard.withLock { $0 += 1 } } }
        let (lost, kept) = (bench.job("new-name"), bench.job("new-name"))
        await #expect(throws: Undone.self) {
            try await connection.transaction { transaction in
                #expect(try await transaction.insert([lost], into: store) == [.stored(lost.id)])
                throw Undone()
            }
        }
        #expect(try await bench.state(of: lost.id, in: store) == nil)
        #expect(heard.withLock { $0 } == 0)
        try await connection.transaction { transaction in
            _ = try await transaction.insert([kept], into: store)
            #expect(try await bench.state(of: kept.id, in: store) == nil)
            #expect(heard.withLock { $0 } == 0)
        }
        #expect(try await bench.state(of: kept.id, in: store) == .ready)
        #expect(heard.withLock { $0 } == 1)
        #expect(try await store.counts().count(.ready) == 1)
        #expect(try await store.maintain(.recount).affected == 0)
        try await store.close()
        await connection.close()
    }

    @Test("a job ends with its follow-up in the transaction, and not when it is rolled back")
    func completion() async throws {
        let bench = try PostgresBench()
        let store = try bench.open()
        let connection = try await bench.connect()
        let worker = try await bench.worker(in: store)
        _ = try await store.insert([bench.job()], offer: nil)
        let claimed = try #require(try await bench.claim(worker, in: store).first)
        let next = bench.job()
        let settlement = Settlement(lease: claimed.lease, outcome: .succeeded(result: nil), followUps: [next])
        await #expect(throws: Undone.self) {
            try await connection.transaction { transaction in
                #expect(try await transaction.settle(settlement, in: store) == .applied(.succeeded))
                throw Undone()
            }
        }
        #expect(try await bench.state(of: claimed.record.id, in: store) == .running)
        try await connection.transaction { transaction in
            var note = LeaseNote(lease: claimed.lease)
            note.progress = (0.5, "half")
            let held = try await transaction.note(note, in: store)
            let answer = try await transaction.settle(settlement, in: store)
            #expect(held && answer == .applied(.succeeded))
        }
        #expect(try await bench.state(of: claimed.record.id, in: store) == .succeeded)
        #expect(try await bench.state(of: next.id, in: store) == .ready)
        #expect(try await store.maintain(.recount).affected == 0)
        try await store.close()
        await connection.close()
    }

    @Test("a transaction on another database, or of another engine, is refused and goes on")
    func elsewhere() async throws {
        let bench = try PostgresBench()
        let store = try bench.open()
        _ = try await store.counts()
        try bench.server.psql("CREATE DATABASE \(bench.schema)_other")
        let connection = try await PostgresConnection.connect(bench.server.url(database: "\(bench.schema)_other"))
        try await connection.transaction { transaction in
            let error = await storeError("another database") {
                _ = try await transaction.insert([bench.job()], into: store)
            }
            #expect(error?.code == .unsupported)
            let rows = try await transaction.execute("SELECT 1")
            #expect(rows == [["1"]])
        }
        try await store.close()
        await connection.close()
    }

    @Test("an open transaction that has a key keeps only that key's jobs waiting, and not for long")
    func openTransaction() async throws {
        let bench = try PostgresBench()
        let store = try bench.open { $0.keyTimeout = .milliseconds(50) }
        let connection = try await bench.connect()
        let held = bench.job(unique: UniqueRule(key: "k"))
        try await connection.transaction { transaction in
            _ = try await transaction.insert([held], into: store)
            let jobs = [
                bench.job(), bench.job(unique: UniqueRule(key: "a")), bench.job(unique: UniqueRule(key: "k")),
                bench.job(unique: UniqueRule(key: "k")), bench.job("never-seen", unique: UniqueRule(key: "z")),
            ]
            let answers = try await store.insert(jobs, offer: nil)
            #expect(answers[0] == .stored(jobs[0].id))
            #expect(answers[1] == .stored(jobs[1].id))
            #expect(answers[4] == .stored(jobs[4].id))
            for answer in answers[2...3] {
                guard case .refused(let error) = answer else {
                    Issue.record("\(answer)")
                    continue
                }
                #expect(error.code == .unavailable)
                #expect(error.message.contains("unique key"))
            }
        }
        let after = try await store.insert([bench.job(unique: UniqueRule(key: "k"))], offer: nil)
        #expect(after == [.duplicate(of: held.id, .ready)])
        try await store.close()
        await connection.close()
    }

    @Test("64 clients race for one unique key with random rollbacks: one row, and never a success without it")
    func race() async throws {
        let bench = try PostgresBench()
        let stores = try (0..<4)
            .map { _ in
                try bench.open {
                    $0.connections = 8
                    $0.keyTimeout = .seconds(5)
                }
            }
        for round in 0..<10 {
            let rule = UniqueRule(key: "round \(round)")
            let answers = try await withThrowingTaskGroup(of: InsertAnswer?.self) { group in
                for client in 0..<64 {
                    let store = stores[client % 4]
                    let job = bench.job(unique: rule)
                    // A third of them in a transaction of their own, half of which is rolled back.
                    guard client % 3 == 0 else {
                        group.addTask { try await store.insert([job], offer: nil).first }
                        continue
                    }
                    group.addTask {
                        let connection = try await bench.connect()
                        let answer = try? await connection.transaction { transaction in
                            let answer = try await transaction.insert([job], into: store).first
                            if client % 2 == 0 { throw Undone() }
                            return answer
                        }
                        await connection.close()
                        return answer ?? nil
                    }
                }
                return try await group.reduce(into: [InsertAnswer]()) { if let answer = $1 { $0.append(answer) } }
            }
            let rows = try await stores[0].list(JobFilter(uniqueKey: rule.key), page: JobPageRequest()).jobs.map(\.id)
            #expect(rows.count == 1, "round \(round)")
            #expect(answers.allSatisfy { $0.id == nil || $0.id == rows.first }, "round \(round): \(answers)")
            #expect(answers.count { $0 == .stored(rows[0]) } == 1, "round \(round)")
        }
        for store in stores { try await store.close() }
    }
}
