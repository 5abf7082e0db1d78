// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandSQLite
import ErrandTesting
import Foundation
import GRDB
import Logging
import Testing

@Suite("The outbox", .timeLimit(.minutes(2)))
struct SQLiteOutboxTests {
    struct Mail: Job {
        static let name: JobName = "mail"
        let to: String
    }

    /// A folder that lives as long as a test.
    private final class Folder: Sendable {
        let url = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("errand-\(UUID().uuidString)")

        init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }

        deinit { try? FileManager.default.removeItem(at: url) }

        var spool: String { url.appendingPathComponent("spool.db").path }
    }

    private func relay(_ outbox: SQLiteOutbox, _ store: any JobStore, _ clock: any ErrandClock) -> OutboxRelay {
        OutboxRelay(
            from: outbox,
            to: store,
            clock: clock,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    private func recipients(_ store: any JobStore) async throws -> [String] {
        let ids = try await store.list(JobFilter(), page: JobPageRequest(limit: 500)).jobs.map(\.id)
        return try await store.jobs(ids, parts: .payload).map { String(decoding: $0.payload.bytes, as: UTF8.self) }
            .sorted()
    }

    @Test("a job is durable without its store, survives a restart, and gets there with all its options")
    func durable() async throws {
        let (folder, clock) = (try Folder(), ManualClock())
        let memory = MemoryStore(clock: clock)
        let away = FaultyStore(memory, clock: clock)
        away.planAlways(.unavailable)
        let spool = try SQLiteOutbox(path: folder.spool, clock: clock)
        let jobs = JobClient(store: away, spool: spool, clock: clock)
        var options = EnqueueOptions.unique(key: "k", scope: .forTTL(.hours(1)), conflict: .replacePending(.all))
        (options.queue, options.priority, options.tags) = ("slow", 9, ["a"])
        (options.headers, options.retry, options.timeout) = (["h": "v"], .attempts(3), .unlimited)
        let handle = try await jobs.enqueue(Mail(to: "ada"), durably: .spool, options: options)
        #expect(handle.kind == nil)
        await #expect(throws: StoreError.self) { try await relay(spool, away, clock).relayAll() }
        try spool.close()

        let again = try SQLiteOutbox(path: folder.spool, clock: clock)
        #expect(try await again.count() == (1, 0))
        try await relay(again, memory, clock).relayAll()
        #expect(try await again.count() == (0, 0))
        let record = try #require(try await memory.jobs([handle.id], parts: .all).first)
        let direct = MemoryStore(clock: clock)
        options.id = handle.id
        try await JobClient(store: direct, clock: clock).enqueue(Mail(to: "ada"), options: options)
        #expect(record == (try await direct.jobs([handle.id], parts: .all).first))
        try again.close()
    }

    @Test("without a spool the client says what is missing")
    func missing() async throws {
        let jobs = JobClient(store: MemoryStore())
        await #expect { try await jobs.enqueue(Mail(to: "ada"), durably: .spool) } throws: {
            ($0 as? ErrandError)?.code == .invalidConfiguration
        }
        #expect(try await jobs.enqueue(Mail(to: "ada"), durably: .store).kind == .stored)
    }

    @Test(
        "whichever call goes wrong, every job is stored once",
        arguments: [FaultyStore.Fault.unavailable, .loseAnswer]
    )
    func faults(_ fault: FaultyStore.Fault) async throws {
        for call in 1...4 {
            let (folder, clock) = (try Folder(), ManualClock())
            let memory = MemoryStore(clock: clock)
            let store = FaultyStore(memory, clock: clock)
            store.plan(fault, for: .insert, number: call)
            let spool = try SQLiteOutbox(path: folder.spool, clock: clock)
            let jobs = JobClient(store: store, spool: spool, clock: clock)
            // Three bites of the relay.
            try await spool.add(try (0..<1200).map { try jobs.prepare(Mail(to: "\($0)")) })
            do {
                try await relay(spool, store, clock).relayAll()
            } catch let error as StoreError where error.isTransient {
                try await relay(spool, store, clock).relayAll()
            }
            #expect(try await memory.counts().count(.ready) == 1200)
            #expect(try await spool.count() == (0, 0))
            try spool.close()
        }
    }

    @Test("an entry that was stored and not removed does not run again")
    func repeated() async throws {
        let (folder, clock) = (try Folder(), ManualClock())
        let memory = MemoryStore(clock: clock)
        let spool = try SQLiteOutbox(path: folder.spool, clock: clock)
        let jobs = JobClient(store: memory, spool: spool, clock: clock)
        let handle = try await jobs.enqueue(Mail(to: "ada"), durably: .spool)
        // What a relay that dies between its two writes leaves.
        let entries = try await spool.oldest(limit: 10)
        _ = try await memory.insert(try entries.map { try $0.job(storedAt: clock.now) }, offer: nil)
        try await jobs.cancel([handle.id], reason: "to see whether it comes back")
        try await relay(spool, memory, clock).relayAll()
        #expect(try await memory.counts().count(.cancelled) == 1)
        #expect(try await memory.counts().count() == 1)
        #expect(try await spool.count() == (0, 0))
        try spool.close()
    }

    @Test("a job in a transaction exists exactly if the transaction does")
    func joining() async throws {
        struct Regret: Error {}
        let folder = try Folder()
        let pool = try DatabasePool(path: folder.spool)
        let outbox = try SQLiteOutbox(sharing: pool)
        let memory = MemoryStore()
        let jobs = JobClient(store: memory)
        for number in 0..<20 {
            do {
                try await pool.write { db in
                    try jobs.enqueue(Mail(to: "\(number)"), in: outbox.joining(db))
                    if number.isMultiple(of: 2) { throw Regret() }
                }
            } catch is Regret {}
        }
        try await relay(outbox, memory, SystemClock.shared).relayAll()
        let wanted = (0..<20).filter { !$0.isMultiple(of: 2) }.map { #"{"to":"\#($0)"}"# }.sorted()
        #expect(try await recipients(memory) == wanted)
        try await pool.writeWithoutTransaction { db -> Void in
            #expect(throws: StoreError.self) { _ = try jobs.enqueue(Mail(to: "x"), in: outbox.joining(db)) }
        }
        try pool.close()
    }

    @Test("plain SQL adds jobs; what is no job is set aside and stops nobody")
    func plainSQL() async throws {
        let folder = try Folder()
        let pool = try DatabasePool(path: folder.spool)
        let outbox = try SQLiteOutbox(sharing: pool)
        let clock = SystemClock.shared
        try await pool.write { db in
            try db.execute(
                sql: """
                    INSERT INTO errand_outbox (name, payload) VALUES ('mail', '{"to":"a"}');
                    INSERT INTO errand_outbox (name, payload, options) VALUES ('mail', '{"to":"b"}', \
                    '{"queue":"slow","priority":9,"delay":3600,"uniqueKey":"b","uniqueFor":60,"tags":["t"],"maxAttempts":3,"timeout":null}');
                    INSERT INTO errand_outbox (name, payload, options) VALUES ('mail', '{}', '{"prioritty":9}');
                    INSERT INTO errand_outbox (name, payload, options) VALUES ('mail', '{}', 'no json');
                    INSERT INTO errand_outbox (name, payload, options) VALUES ('mail', '{}', '{"onConflict":"x","uniqueKey":"k"}');
                    INSERT INTO errand_outbox (id, name, payload) VALUES ('17', 'mail', '{}');
                    INSERT INTO errand_outbox (name, payload) VALUES ('', '{}');
                    INSERT INTO errand_outbox (name, job) VALUES ('mail', '[]');
                    INSERT INTO errand_outbox (name, payload) VALUES ('mail', '{"to":"c"}');
                    """
            )
        }
        let memory = MemoryStore(clock: clock)
        try await relay(outbox, memory, clock).relayAll()
        #expect(try await recipients(memory) == [#"{"to":"a"}"#, #"{"to":"b"}"#, #"{"to":"c"}"#])
        #expect(try await outbox.count() == (0, 6))
        let slow = try #require(try await memory.list(JobFilter(queues: ["slow"]), page: JobPageRequest()).jobs.first)
        #expect(slow.state == .scheduled)
        #expect(slow.priority == 9)
        #expect(slow.retry.maxAttempts == 3)
        #expect(slow.timeout == nil)
        #expect(slow.tags == ["t"])
        #expect(slow.unique == UniqueRule(key: "b", scope: .forTTL(.seconds(60))))
        // The ids sort by the time at which the rows were made.
        #expect(abs((slow.id.madeAt - clock.now).inSeconds) < 3600)
        let reasons = try await pool.read { try String.fetchAll($0, sql: "SELECT reason FROM errand_outbox_refused") }
        #expect(reasons.contains { $0.contains("prioritty") && $0.contains("maxAttempts") })
        try pool.close()
    }

    @Test("a full outbox refuses, and takes again when there is room")
    func bound() async throws {
        let (folder, clock) = (try Folder(), ManualClock())
        let memory = MemoryStore(clock: clock)
        let spool = try SQLiteOutbox(path: folder.spool, limit: 3, clock: clock)
        let jobs = JobClient(store: memory, spool: spool, clock: clock)
        for number in 0..<3 { try await jobs.enqueue(Mail(to: "\(number)"), durably: .spool) }
        await #expect { try await jobs.enqueue(Mail(to: "x"), durably: .spool) } throws: {
            ($0 as? StoreError)?.code == .full
        }
        #expect(try await spool.count() == (3, 0))
        try await relay(spool, memory, clock).relayAll()
        try await jobs.enqueue(Mail(to: "y"), durably: .spool)
        #expect(try await spool.count() == (1, 0))
        try spool.close()
    }

    @Test("delays and limits count from the enqueue, not from the end of the outage")
    func times() async throws {
        let (folder, clock) = (try Folder(), ManualClock())
        let memory = MemoryStore(clock: clock)
        let spool = try SQLiteOutbox(path: folder.spool, clock: clock)
        let jobs = JobClient(store: memory, spool: spool, clock: clock)
        let start = clock.now
        let later = try await jobs.enqueue(Mail(to: "later"), durably: .spool, options: .delay(.minutes(10)))
        let soon = try await jobs.enqueue(Mail(to: "soon"), durably: .spool, options: .delay(.minutes(1)))
        let late = try await jobs.enqueue(
            Mail(to: "late"),
            durably: .spool,
            options: EnqueueOptions(startWithin: .within(.minutes(2)), deadline: .within(.minutes(20)))
        )
        clock.advance(by: .minutes(5))
        try await relay(spool, memory, clock).relayAll()
        #expect(try await later.record().runAt == start + .minutes(10))
        #expect(try await soon.record().state == .ready)
        #expect(try await late.record().deadline == start + .minutes(20))
        clock.advance(by: .microseconds(1))
        _ = try await memory.maintain(.expire)
        #expect(try await late.record().state == .expired)
        try spool.close()
    }

    @Test("a taken key shows when the job gets to the store")
    func keys() async throws {
        let (folder, clock) = (try Folder(), ManualClock())
        let memory = MemoryStore(clock: clock)
        let spool = try SQLiteOutbox(path: folder.spool, clock: clock)
        let jobs = JobClient(store: memory, spool: spool, clock: clock)
        for conflict in [UniqueRule.Conflict.returnExisting, .returnExisting, .throwError] {
            try await jobs.enqueue(
                Mail(to: "ada"),
                durably: .spool,
                options: .unique(key: "k", conflict: conflict)
            )
        }
        try await relay(spool, memory, clock).relayAll()
        #expect(try await memory.counts().count() == 1)
        #expect(try await spool.count() == (0, 1))
        try spool.close()
    }

    @Test("a relay that runs hears at once of what is added, waits for its store, and stops when told")
    func service() async throws {
        let folder = try Folder()
        let clock = ManualClock()
        let memory = MemoryStore(clock: clock)
        let store = FaultyStore(memory, clock: clock)
        store.plan(.unavailable, for: .insert, numbers: 1...2)
        let spool = try SQLiteOutbox(path: folder.spool, clock: clock)
        let jobs = JobClient(store: store, spool: spool, clock: clock)
        let relay = relay(spool, store, clock)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await relay.run() }
            // It waits for entries or for the time to look again.
            await clock.nextTimer()
            let handle = try await jobs.enqueue(Mail(to: "ada"), durably: .spool)
            // Twice away: it waits 100 ms, then 200 ms.
            for wait in [Duration.milliseconds(100), .milliseconds(200)] {
                await clock.waitForTimer(in: wait)
                clock.advance(by: wait)
            }
            while try await memory.jobs([handle.id], parts: []).isEmpty { await Task.yield() }
            group.cancelAll()
            try await group.waitForAll()
        }
        #expect(store.calls(of: .insert) == 3)
        try spool.close()
    }

    @Test("many callers share a flush")
    func callers() async throws {
        let folder = try Folder()
        let memory = MemoryStore()
        let spool = try SQLiteOutbox(path: folder.spool)
        let jobs = JobClient(store: memory, spool: spool)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<64 {
                group.addTask {
                    for number in 0..<20 {
                        try await jobs.enqueue(Mail(to: "\(caller) \(number)"), durably: .spool)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await spool.count() == (1280, 0))
        try await relay(spool, memory, SystemClock.shared).relayAll()
        #expect(try await memory.counts().count(.ready) == 1280)
        try spool.close()
    }
}
