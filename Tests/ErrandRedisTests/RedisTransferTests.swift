// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import ErrandSQLite
import ErrandTesting
import Foundation
import NIOCore
import TestServers
import Testing

@testable import ErrandRedis

@Suite("Moving to Redis and from it", .timeLimit(.minutes(3)))
struct RedisTransferTests {
    /// A file that is removed at the end.
    private func withSQLite(_ clock: any ErrandClock, _ body: (SQLiteStore) async throws -> Void) async throws {
        let folder = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("errand-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var configuration = SQLiteConfiguration(durability: .processCrash)
        configuration.wakeUp = .poll
        let path = folder.appendingPathComponent("jobs.db").path
        let store = try SQLiteStore(path: path, configuration: configuration, clock: clock)
        try await body(store)
        try await store.close()
    }

    private func transfer(
        _ source: any JobStore,
        _ destination: any JobStore,
        _ clock: any ErrandClock,
        batch: Int = 100
    ) -> StoreTransfer {
        var configuration = StoreTransferConfiguration()
        (configuration.batchLimit, configuration.patience) = (batch, .zero)
        configuration.destinationName = "there"
        return StoreTransfer(from: source, to: destination, configuration: configuration, clock: clock)
    }

    private func same(_ one: StoreContents, _ other: StoreContents, _ when: String) {
        for difference in one.differences(from: other) { Issue.record("\(when): \(difference)") }
    }

    /// Everything that a store can have, and more jobs than one batch, small and large.
    private func fill(_ store: any JobStore, _ bench: Bench) async throws -> [NewJob] {
        try await StoreConformance.fill(store, clock: bench.clock)
        let worker = try await bench.worker(in: store)
        let lasting = bench.job("mail", queue: "passing") {
            $0.unique = UniqueRule(key: "outlives", scope: .forTTL(.hours(9)))
        }
        _ = try await store.insert([lasting], offer: nil)
        var request = bench.request(worker)
        request.queues = [.init(name: "passing", slots: 1)]
        let lease = try #require(try await store.claim(request).jobs.first?.lease)
        _ = try await store.settle([Settlement(lease: lease, outcome: .succeeded(result: nil))])
        let delete = ErrandCore.Operation(.delete, on: .ids([lasting.id]), actor: "ada", reason: "test")
        _ = try await store.operate(delete)
        try await store.retire(worker)
        let many = (0..<450)
            .map { number in
                bench.job("mail", queue: number.isMultiple(of: 3) ? "many" : "more") { job in
                    if number.isMultiple(of: 7) {
                        job.payload.bytes = [UInt8](repeating: UInt8(number % 256), count: 6000)
                    }
                    if number.isMultiple(of: 5) { job.start = .after(.minutes(number)) }
                    if number.isMultiple(of: 11) { job.unique = UniqueRule(key: "key \(number)") }
                    if number.isMultiple(of: 13) { (job.startWithin, job.tags) = (.hours(30), ["a", "t\(number)"]) }
                }
            }
        _ = try await store.insert(many, offer: nil)
        // One job for each key that wants it later and less than whoever has it: the answer says who that is.
        let keys = try await StoreContents(of: store).jobs.compactMap(\.unique?.key) + ["outlives"]
        return Set(keys).sorted()
            .map { key in
                bench.job("mail", queue: "asking") { job in
                    (job.unique, job.priority, job.start) = (UniqueRule(key: key), .init(0), .after(.days(900)))
                }
            }
    }

    @Test("SQLite to Redis and back: every job, key, line and counter is the same, and the store before has none")
    func thereAndBack() async throws {
        let bench = try Bench()
        let redis = try bench.openManual()
        try await withSQLite(bench.clock) { sqlite in
            let askers = try await fill(sqlite, bench)
            let holders = try await sqlite.insert(askers, offer: nil)
            #expect(holders.contains { if case .duplicate = $0 { true } else { false } })
            let before = try await StoreContents(of: sqlite)
            #expect(before.jobs.count > 460 && !before.audit.isEmpty && !before.series.isEmpty)
            let there = try await transfer(sqlite, redis, bench.clock).run()
            #expect((there.jobs, there.present, there.keyless, there.left) == (before.jobs.count, 0, 0, 0))
            same(before, try await StoreContents(of: redis), "in Redis")
            #expect(try await redis.insert(askers, offer: nil) == holders)
            #expect(try await redis.maintain(.recount).affected == 0)
            let back = try await transfer(redis, sqlite, bench.clock, batch: 64).run()
            #expect((back.jobs, back.present, back.keyless, back.left) == (before.jobs.count, 0, 0, 0))
            // Pauses are copied, and so they are still there.
            same(before, try await StoreContents(of: sqlite), "back in SQLite")
            #expect(try await sqlite.insert(askers, offer: nil) == holders)
            let left = try await StoreContents(of: redis)
            #expect(left.jobs.isEmpty && left.counts.isEmpty && left.audit.isEmpty && left.series.isEmpty)
            let again = try await transfer(redis, sqlite, bench.clock).run()
            #expect((again.jobs, again.records, again.batches) == (0, 0, 0), "a second run has nothing to do")
        }
        try await redis.close()
    }

    enum Death: CaseIterable {
        case afterExport
        case afterImport
        case afterExportWithServer
    }

    @Test(
        "dead between export and endExport, the next run goes on, and every job arrives once",
        arguments: Death.allCases
    )
    func death(_ death: Death) async throws {
        let server = try RedisServer(.init(["appendfsync": "always"]))
        let bench = try Bench(server)
        let first = try bench.openManual()
        let jobs = (0..<150).map { _ in bench.job() }
        _ = try await first.insert(jobs, offer: nil)
        let memory = MemoryStore(clock: bench.clock)
        let id = ExportID(bytes: bench.id().bytes)
        let request = ExportRequest(id: try #require(id), destination: "there", part: .pending, limit: 100)
        let batch = try await first.export(request)
        #expect(batch.jobs.count == 100)
        if death == .afterImport { _ = try await memory.import(batch) }
        #expect(try await first.counts().count() == 50)
        try await first.close()
        if death == .afterExportWithServer {
            server.kill()
            try server.start()
        }
        let redis = try bench.openManual()
        #expect(try await redis.export(request) == batch, "it is on its way, and the same")
        let report = try await transfer(redis, memory, bench.clock).run()
        #expect(report.repeats == (death == .afterImport ? 1 : 0))
        #expect(report.left == 0)
        let arrived = try await StoreContents(of: memory).jobs.map(\.id)
        #expect(arrived.sorted() == jobs.map(\.id).sorted())
        #expect(try await redis.insert(jobs, offer: nil) == jobs.map { .stored($0.id) }, "late repeats")
        #expect(try await redis.counts().count() == 0)
        #expect(try await redis.jobs(jobs.map(\.id), parts: []).isEmpty)
        try await redis.close()
        server.kill()
    }

    @Test("ready jobs of several names and versions keep their order, however small the batches are")
    func order() async throws {
        let (bench, other) = (try Bench(), try Bench())
        let source = try bench.openManual()
        let destination = try RedisStore(
            url: other.server.url,
            configuration: RedisStoreConfiguration(name: other.name),
            time: bench.clock
        )
        var names: [JobName: Int] = [:]
        for number in 0..<12 { names[JobName("name\(number)")] = 9 }
        let jobs = (0..<1500)
            .map { number in
                bench.job(JobName("name\(number % 17 % 12)")) {
                    $0.payload.version = number % 3 + 1
                    $0.priority = JobPriority(number % 2 + 4)
                }
            }
        _ = try await source.insert(jobs, offer: nil)
        try await transfer(source, destination, bench.clock, batch: 170).run()
        let worker = try await bench.worker(in: destination)
        let queue = ClaimRequest.Queue(name: .default, slots: 2000)
        let request = ClaimRequest(worker: worker, names: names, queues: [queue], limit: 2000)
        let claimed = try await destination.claim(request).jobs.map(\.record.id)
        let wanted = jobs.enumerated()
            .sorted { (-$0.element.priority.level, $0.offset) < (-$1.element.priority.level, $1.offset) }
        #expect(claimed == wanted.map(\.element.id))
        try await source.close()
        try await destination.close()
    }

    @Test("a job that a worker takes between the look and the script stays, and the others go")
    func groups() async throws {
        let bench = try Bench()
        let store = try bench.openManual()
        let worker = try await bench.worker(in: store)
        _ = try await store.insert((0..<10).map { _ in bench.job() }, offer: nil)
        let request = ExportRequest(
            id: try #require(ExportID(bytes: bench.id().bytes)),
            destination: "there",
            part: .pending
        )
        var hand = RedisExportHand(request)
        let place = try await store.gatherJobs(from: .ready(""), into: &hand)
        #expect((place, hand.groups.count) == (nil, 10))
        let claimed = try await store.claim(bench.request(worker, limit: 3)).jobs.map(\.record.id)
        let batch = ExportBatch(id: request.id, destination: request.destination)
        let taken = try #require(try await store.depart(hand.groups, in: batch))
        #expect(taken.count == 7)
        #expect(Set(taken.flatMap(\.contents.jobs).map(\.record.id)).isDisjoint(with: claimed))
        #expect(try await store.depart(hand.groups, in: batch) == nil, "a batch is open")
        #expect(try await store.counts().count() == 3)
        try await store.endExport(batch.id, as: .returned)
        #expect(try await store.counts().count(.ready) == 7)
        #expect(try await store.maintain(.recount).affected == 0)
        try await store.close()
    }

    @Test("a large job is kept in pieces", arguments: [1, 7, 1 << 20])
    func pieces(_ longest: Int) throws {
        let bench = try Bench()
        let clock = bench.clock
        var whole = ExportBatch(id: try #require(ExportID(bytes: bench.id().bytes)), destination: "there")
        var pieces: [ByteBuffer] = []
        for _ in 0..<3 {
            var group = RedisExportGroup()
            let record = JobRecord(bench.job(bytes: Array("{\"a\": \"ä\u{1F600}\"}".utf8)), at: clock.now)
            group.contents.jobs = [ExportedJob(record: record, key: .holder)]
            whole.jobs += group.contents.jobs
            let isEncoded = group.encode(longest: longest)
            #expect(isEncoded)
            pieces += group.pieces
        }
        #expect(longest > 1000 ? pieces.count == 3 : pieces.count > 100)
        var read = ExportBatch(id: whole.id, destination: "there")
        try read.add(pieces)
        #expect(read == whole)
    }
}
