// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandPostgres
import ErrandTesting
import Logging
import TestServers
import Testing

@Suite("PostgreSQL: the outbox", .timeLimit(.minutes(2)))
struct PostgresOutboxTests {
    struct Mail: Job {
        static let name: JobName = "mail"
        let to: String
    }

    /// A schema of its own for the tables of a test.
    private final class Place: Sendable {
        let url: String
        let bench: PostgresBench

        init() throws {
            bench = try PostgresBench()
            url = bench.server.url() + "&options=-csearch_path%3D\(bench.schema)"
            try bench.server.psql("CREATE SCHEMA \(bench.schema)")
        }

        func sql(_ text: String) throws -> String {
            try bench.server.psql(text.replacing("errand_outbox", with: "\(bench.schema).errand_outbox"))
        }
    }

    private func relay(_ outbox: PostgresOutbox, _ store: any JobStore) -> OutboxRelay {
        OutboxRelay(from: outbox, to: store, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private func recipients(_ store: any JobStore) async throws -> [String] {
        let ids = try await store.list(JobFilter(), page: JobPageRequest(limit: 500)).jobs.map(\.id)
        return try await store.jobs(ids, parts: .payload).map { String(decoding: $0.payload.bytes, as: UTF8.self) }
            .sorted()
    }

    @Test("a job in a transaction exists exactly if the transaction does, with all its options")
    func joining() async throws {
        struct Regret: Error {}
        let place = try Place()
        let outbox = try PostgresOutbox(url: place.url)
        let connection = try await PostgresConnection.connect(place.url)
        let memory = MemoryStore()
        let jobs = JobClient(store: memory)
        var options = EnqueueOptions.unique(key: "k'\"", scope: .forTTL(.hours(1)), conflict: .replacePending(.all))
        (options.queue, options.priority, options.tags, options.headers) = ("slow", 9, ["a"], ["h": "v"])
        for number in 0..<20 {
            do {
                try await connection.transaction { [options] transaction in
                    try await jobs.enqueue(
                        Mail(to: "\(number)"),
                        options: number == 1 ? options : .init(),
                        in: outbox.joining(transaction)
                    )
                    if number.isMultiple(of: 2) { throw Regret() }
                }
            } catch is Regret {}
        }
        #expect(try await outbox.count() == (10, 0))
        try await relay(outbox, memory).relayAll()
        let wanted = (0..<20).filter { !$0.isMultiple(of: 2) }.map { #"{"to":"\#($0)"}"# }.sorted()
        #expect(try await recipients(memory) == wanted)
        #expect(try await outbox.count() == (0, 0))
        let record = try #require(try await memory.list(JobFilter(queues: ["slow"]), page: JobPageRequest()).jobs.first)
        #expect(record.priority == 9)
        #expect(record.tags == ["a"])
        #expect(record.headers == ["h": "v"])
        #expect(record.unique == UniqueRule(key: "k'\"", scope: .forTTL(.hours(1)), conflict: .replacePending(.all)))
        let lease = Lease(job: record.id, worker: try await place.bench.worker(in: memory), epoch: 1)
        let refused = await storeError("a settlement in an outbox") {
            try await connection.transaction { transaction in
                let settlement = Settlement(lease: lease, outcome: .succeeded(result: nil))
                _ = try await outbox.joining(transaction).settle(settlement, in: memory)
            }
        }
        #expect(refused?.code == .unsupported)
        await connection.close()
        await outbox.close()
    }

    @Test("plain SQL adds jobs; what is no job is set aside and stops nobody")
    func plainSQL() async throws {
        let place = try Place()
        let outbox = try PostgresOutbox(url: place.url)
        try await outbox.prepare()
        _ = try place.sql(
            """
            INSERT INTO errand_outbox (name, payload) VALUES ('mail', '{"to" : "a", "n": 1.50}');
            INSERT INTO errand_outbox (name, payload, options) VALUES ('mail', '{"to":"b"}', \
            '{"queue":"slow","priority":9,"delay":3600,"uniqueKey":"b","uniqueFor":60,"tags":["t"],"maxAttempts":3,"timeout":null}');
            INSERT INTO errand_outbox (name, payload, options) VALUES ('mail', '{}', '{"prioritty":9}');
            INSERT INTO errand_outbox (name, payload, options) VALUES ('mail', '{}', '{"onConflict":"x","uniqueKey":"k"}');
            INSERT INTO errand_outbox (name, payload) VALUES ('', '{}');
            INSERT INTO errand_outbox (name, job) VALUES ('mail', '[]');
            INSERT INTO errand_outbox (name, payload) VALUES ('mail', '{"to":"c"}');
            """
        )
        _ = try place.sql(#"BEGIN; INSERT INTO errand_outbox (name, payload) VALUES ('mail', '{"to":"x"}'); ROLLBACK"#)
        let memory = MemoryStore()
        try await relay(outbox, memory).relayAll()
        // Carried over as it was written, spaces and zeros too.
        let wanted = [#"{"to" : "a", "n": 1.50}"#, #"{"to":"b"}"#, #"{"to":"c"}"#].sorted()
        #expect(try await recipients(memory) == wanted)
        #expect(try await outbox.count() == (0, 4))
        let slow = try #require(try await memory.list(JobFilter(queues: ["slow"]), page: JobPageRequest()).jobs.first)
        #expect(slow.state == .scheduled)
        #expect(slow.unique == UniqueRule(key: "b", scope: .forTTL(.seconds(60))))
        #expect(abs((slow.id.madeAt - SystemClock.shared.now).inSeconds) < 3600)
        #expect(try place.sql("SELECT string_agg(reason, '|') FROM errand_outbox_refused").contains("prioritty"))
        await outbox.close()
    }

    @Test(
        "whichever call of the relay goes wrong, every job is stored once",
        arguments: [FaultyStore.Fault.unavailable, .loseAnswer]
    )
    func faults(_ fault: FaultyStore.Fault) async throws {
        let place = try Place()
        let outbox = try PostgresOutbox(url: place.url)
        for call in 1...3 {
            let memory = MemoryStore()
            let store = FaultyStore(memory, clock: SystemClock.shared)
            store.plan(fault, for: .insert, number: call)
            let jobs = JobClient(store: store)
            try await outbox.add(try (0..<1200).map { try jobs.prepare(Mail(to: "\($0)")) })
            do {
                try await relay(outbox, store).relayAll()
            } catch let error as StoreError where error.isTransient {
                try await relay(outbox, store).relayAll()
            }
            #expect(try await memory.counts().count(.ready) == 1200)
            #expect(try await outbox.count() == (0, 0))
        }
        await outbox.close()
    }

    @Test("an addition whose answer was lost says so, and its repeat is one entry")
    func lostAnswer() async throws {
        let place = try Place()
        let proxy = try await FaultProxy.start(to: .port(place.bench.server.port))
        let url = place.url.replacing(":\(place.bench.server.port)/", with: ":\(proxy.port)/")
            .replacing("sslmode=prefer", with: "sslmode=disable")
        let outbox = try PostgresOutbox(url: url)
        try await outbox.prepare()
        let job = place.bench.job()
        proxy.cut(.beforeAnswer, where: "INSERT INTO errand_outbox")
        let error = await storeError("the lost answer") { try await outbox.add([job]) }
        #expect(error?.code == .outcomeUnknown)
        try await outbox.add([job])
        #expect(try await outbox.count() == (1, 0))
        await outbox.close()
        try await proxy.close()
    }

    @Test("a full outbox refuses, and takes again when there is room; gaps of rollbacks do not count")
    func bound() async throws {
        let place = try Place()
        let outbox = try PostgresOutbox(url: place.url, limit: 3)
        for _ in 0..<2 { try await outbox.add([place.bench.job()]) }
        for _ in 0..<5 {
            _ = try place.sql("BEGIN; INSERT INTO errand_outbox (name, payload) VALUES ('mail', '{}'); ROLLBACK")
        }
        try await outbox.add([place.bench.job()])
        #expect(await storeError("a fourth") { try await outbox.add([place.bench.job()]) }?.code == .full)
        try await outbox.remove(outbox.oldest(limit: 1))
        try await outbox.add([place.bench.job()])
        #expect(try await outbox.count() == (3, 0))
        await outbox.close()
    }

    @Test("many processes that start at once make the tables once, and one without the right to make any uses them")
    func makes() async throws {
        let place = try Place()
        let outboxes = try (0..<8).map { _ in try PostgresOutbox(url: place.url) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for outbox in outboxes { group.addTask { try await outbox.add([place.bench.job()]) } }
            try await group.waitForAll()
        }
        #expect(try await outboxes[0].count() == (8, 0))
        for outbox in outboxes { await outbox.close() }
        let user = "writer_\(place.bench.schema)"
        _ = try place.sql(
            """
            CREATE ROLE \(user) LOGIN; GRANT USAGE ON SCHEMA \(place.bench.schema) TO \(user);
            GRANT INSERT, SELECT, DELETE ON errand_outbox, errand_outbox_refused TO \(user);
            """
        )
        let theirs = place.bench.server.url(user: user) + "&options=-csearch_path%3D\(place.bench.schema)"
        let outbox = try PostgresOutbox(url: theirs)
        try await outbox.add([place.bench.job()])
        #expect(try await outbox.count() == (9, 0))
        await outbox.close()
    }

    @Test("a relay that runs carries jobs over through an outage of the outbox's server")
    func outage() async throws {
        let place = try Place()
        let proxy = try await FaultProxy.start(to: .port(place.bench.server.port))
        let url = place.url.replacing(":\(place.bench.server.port)/", with: ":\(proxy.port)/")
        let (near, far) = (try PostgresOutbox(url: place.url), try PostgresOutbox(url: url))
        let memory = MemoryStore()
        let relay = relay(far, memory)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await relay.run() }
            for count in 1...3 {
                try await proxy.set(.refuse)
                try await near.add([place.bench.job()])
                try await proxy.set(.pass)
                // Another process added it: the relay finds it when it looks.
                while try await memory.counts().count(.ready) < count { await Task.yield() }
            }
            group.cancelAll()
            try await group.waitForAll()
        }
        await near.close()
        await far.close()
        try await proxy.close()
    }
}
