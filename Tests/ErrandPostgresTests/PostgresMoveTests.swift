// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandPostgres
import ErrandTesting
import TestServers
import Testing

@Suite("PostgreSQL: moving jobs", .timeLimit(.minutes(3)))
struct PostgresMoveTests {
    private func export(
        _ store: PostgresStore,
        _ part: ExportRequest.Part = .pending,
        after: String? = nil,
        limit: Int = 500
    ) async throws -> ExportBatch {
        let id = Chance.system.draw { ExportID(at: SystemClock.shared.now, using: &$0) }
        return try await store.export(
            ExportRequest(id: id, destination: "there", part: part, after: after, limit: limit)
        )
    }

    private func rows(_ bench: PostgresBench, _ table: String) throws -> String {
        try bench.server.psql("SELECT count(*) FROM \(bench.schema).\(table)")
    }

    @Test("thousands of jobs of several names that became ready at once keep their order, and a damaged one stays")
    func order() async throws {
        let bench = try PostgresBench()
        let store = try bench.open()
        let names: [JobName] = ["mail", "call", "bill"]
        let jobs = (0..<7000)
            .map { number in
                bench.job(names[number * number % 3]) { job in
                    // Ids that say nothing about the order.
                    job.id = Chance.system.jobID(at: .epoch)
                    if number % 50 == 0 { job.priority = .urgent }
                    if number % 70 == 3 { job.start = .after(.hours(1)) }
                }
            }
        _ = try await store.insert(jobs, offer: nil)
        let held = jobs[..<20].map(\.id)
        let hold = Operation(.hold(lasting: nil), on: .ids(held), actor: "ada", reason: "test")
        #expect(try await store.operate(hold).changed.count == 20)
        let damaged = jobs[33].id
        try bench.server.psql("UPDATE \(bench.schema).jobs SET retry = 'nonsense' WHERE id = '\(damaged)'")
        let ranks = try bench.server.psql(
            """
            SELECT string_agg(id::text, ' ' ORDER BY rank, place) FROM \(bench.schema).jobs \
            WHERE state = 3 AND hold IS NULL AND id <> '\(damaged)'
            """
        )
        let wanted = ranks.split(separator: " ").map { JobID(String($0)) }
        #expect(wanted.count > 6800)
        let memory = MemoryStore()
        var configuration = StoreTransferConfiguration()
        configuration.batchLimit = 900
        let report = try await StoreTransfer(from: store, to: memory, configuration: configuration).run()
        #expect((report.jobs, report.left) == (6999, 1))
        #expect(try await bench.state(of: damaged, in: store) == nil, "it cannot be read")
        #expect(try rows(bench, "jobs") == "1")
        #expect(try rows(bench, "job_tags") == "0")
        #expect(await store.describe().warnings.contains { $0.contains("read") })
        let registration = WorkerRegistration(
            id: try await bench.worker(in: memory),
            host: "here",
            pid: 1,
            version: "1",
            names: ["mail": 1, "call": 1, "bill": 1],
            slots: [.default: 10]
        )
        _ = try await memory.register(registration)
        let claimed = try await memory.claim(
            ClaimRequest(
                worker: registration.id,
                names: registration.names,
                queues: [.init(name: .default, slots: 10_000)],
                limit: 10_000
            )
        )
        #expect(claimed.jobs.map(\.record.id) == wanted)
        try await store.close()
    }

    @Test("a repeat of an insert that meets the leaving of its job does not bring it back")
    func repeated() async throws {
        let bench = try PostgresBench()
        let (store, client) = (try bench.open(), try bench.open())
        let job = bench.job()
        _ = try await store.insert([job], offer: nil)
        _ = try await client.insert([bench.job("other")], offer: nil)
        // Holds the export where the job is deleted and its tombstone is not yet written.
        let gate = try await bench.connect()
        try await gate.transaction { _ in
            try await gate.execute("LOCK TABLE \(bench.schema).departures IN SHARE MODE")
            async let left = export(store)
            try await waiting(bench, 1)
            async let answer = client.insert([job], offer: nil)
            try await waiting(bench, 2)
            try await gate.execute("COMMIT")
            try await gate.execute("BEGIN")
            #expect(try await left.jobs.contains { $0.record.id == job.id })
            #expect(try await answer == [.stored(job.id)])
        }
        #expect(try await bench.state(of: job.id, in: store) == nil)
        #expect(try await store.counts().count() == 0)
        #expect(try await store.maintain(.recount).affected == 0)
        for store in [store, client] { try await store.close() }
        await gate.close()
    }

    /// Until so many calls on the schema wait for a lock.
    private func waiting(_ bench: PostgresBench, _ count: Int) async throws {
        let sql = """
            SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%\(bench.schema)"%'
            """
        while try bench.server.psql(sql) != "\(count)" { await Task.yield() }
    }

    @Test("what left is not stored again by SQL, in a transaction, or with its unique key, which stays free")
    func tombstones() async throws {
        let bench = try PostgresBench()
        let store = try bench.open()
        let connection = try await bench.connect()
        let (plain, keyed) = (bench.job(), bench.job(unique: UniqueRule(key: "k")))
        _ = try await store.insert([plain, keyed], offer: nil)
        let batch = try await export(store)
        #expect(batch.jobs.map(\.record.id) == [plain.id, keyed.id])
        #expect(try await store.insert([plain, keyed], offer: nil) == [.stored(plain.id), .stored(keyed.id)])
        let answers = try await connection.transaction { transaction in
            try await transaction.insert([keyed, plain], into: store)
        }
        #expect(answers == [.stored(keyed.id), .stored(plain.id)])
        for (id, options) in [(plain.id, ""), (keyed.id, #", "uniqueKey": "k""#)] {
            let sql = "SELECT \(bench.schema).enqueue('mail', '{}', '{\"id\": \"\(id)\"\(options)}')"
            #expect(try bench.server.psql(sql) == id.description)
        }
        #expect(try rows(bench, "jobs") == "0")
        #expect(try rows(bench, "unique_keys") == "0")
        #expect(try await store.counts().rows.isEmpty)
        let other = bench.job(unique: UniqueRule(key: "k"))
        #expect(try await store.insert([other, bench.job()], offer: nil).first == .stored(other.id))
        #expect(try await store.counts().count(.ready) == 2)
        try await store.close()
        await connection.close()
    }

    @Test("of several that let jobs go at once one does, and all are given its batch")
    func together() async throws {
        let bench = try PostgresBench()
        let stores = try (0..<4).map { _ in try bench.open() }
        _ = try await stores[0].insert((0..<50).map { _ in bench.job() }, offer: nil)
        let batches = try await withThrowingTaskGroup(of: ExportBatch.self) { group in
            for store in stores { group.addTask { try await export(store, limit: 20) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(batches).count == 1)
        #expect(batches.first?.jobs.count == 20)
        #expect(try await stores[0].counts().count(.ready) == 30)
        for store in stores { try await store.close() }
    }

    @Test("a job that a transaction holds is waited for, and only when nothing else is left")
    func busy() async throws {
        let bench = try PostgresBench()
        let store = try bench.open { $0.lockTimeout = .milliseconds(50) }
        let jobs = (0..<3).map { _ in bench.job() }
        _ = try await store.insert(jobs, offer: nil)
        let connection = try await bench.connect()
        try await connection.transaction { _ in
            try await connection.execute("SELECT id FROM \(bench.schema).jobs WHERE id = '\(jobs[1].id)' FOR UPDATE")
            let batch = try await export(store)
            #expect(batch.jobs.map(\.record.id) == [jobs[0].id, jobs[2].id])
            try await store.endExport(batch.id, as: .arrived)
            let error = await storeError("a busy job") { _ = try await export(store) }
            #expect(error?.code == .unavailable)
        }
        #expect(try await export(store).jobs.map(\.record.id) == [jobs[1].id])
        await connection.close()
        try await store.close()
    }

    @Test("a schema of the release before gets the tables, and who might enqueue with SQL still may")
    func migration() async throws {
        let bench = try PostgresBench()
        let before = try bench.open()
        let job = bench.job()
        _ = try await before.insert([job], offer: nil)
        try await before.close()
        let (schema, role) = (bench.schema, "clerk_\(bench.schema)")
        try bench.server.psql(
            """
            DROP TABLE \(schema).exports, \(schema).departures, \(schema).imports, \(schema).schedules, \(schema).ticks;
            DROP FUNCTION \(schema).insert_2, \(schema).known_1, \(schema).ready_after_1;
            DROP INDEX \(schema).audit_at;
            DROP TRIGGER jobs_early ON \(schema).jobs;
            DROP TABLE \(schema).early;
            DROP FUNCTION \(schema).head_1, \(schema).server_1, \(schema).note_early_1, \(schema).stretches_1,
                \(schema).rise_1, \(schema).claim_2, \(schema).peek_2, \(schema).offer_2;
            \((0..<32).map { "DROP SEQUENCE \(schema).heads_\($0);" }.joined())
            DELETE FROM \(schema).migrations WHERE number >= 6;
            CREATE ROLE \(role) LOGIN;
            GRANT USAGE ON SCHEMA \(schema) TO \(role);
            GRANT ALL ON ALL TABLES IN SCHEMA \(schema) TO \(role);
            GRANT ALL ON ALL SEQUENCES IN SCHEMA \(schema) TO \(role);
            """
        )
        let store = try bench.open()
        #expect(try await bench.state(of: job.id, in: store) == .ready)
        #expect(await store.describe().schemaVersion == 8)
        #expect(await store.describe().isMovable)
        try bench.server.psql("SELECT \(schema).enqueue('mail', '{}')", user: role)
        #expect(try await store.counts().count(.ready) == 2)
        #expect(try await export(store).jobs.count == 2)
        try await store.close()
    }
}
