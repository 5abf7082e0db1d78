// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import ErrandTesting
import NIOCore
import RedisWire
import TestServers
import Testing

@testable import ErrandRedis

@Suite("Stored data that is damaged", .timeLimit(.minutes(2)))
struct RedisDamageTests {
    private func hash(_ name: String, of bench: Bench) -> String { "{errand:\(bench.name)}:\(name)" }

    @Test("a job that cannot be read is held when it is claimed, and the others run")
    func held() async throws {
        let bench = try Bench()
        let store = try bench.openManual()
        let worker = try await bench.worker(in: store)
        let (bad, good) = (bench.job(), bench.job())
        _ = try await store.insert([bad, good], offer: nil)
        let client = try bench.client()
        var damage = RedisCommand("HSET", hash("a", of: bench))
        damage.append(bad.id.bytes)
        damage.append("??")
        _ = try await client.send(damage)
        #expect(try await store.claim(bench.request(worker)).jobs.map(\.record.id) == [good.id])
        #expect(try await store.claim(bench.request(worker)).jobs.isEmpty)
        #expect(try await store.workers().map(\.running) == [1])
        #expect(try await store.audit(limit: 9).map(\.action) == ["hold"])
        #expect(try await store.counts().count(.ready) == 1)
        let cancel = ErrandCore.Operation(.cancel, on: .ids([bad.id, good.id]), actor: "ada", reason: "why")
        let report = try await store.operate(cancel)
        #expect(report.changed == [good.id])
        #expect(Array(report.refused.keys) == [bad.id])
        await client.close()
        try await store.close()
    }

    @Test(
        "whatever bytes are changed, every call answers or throws a store's error, and good jobs run",
        arguments: 1...25 as ClosedRange<UInt64>
    )
    func fuzz(_ seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let bench = try Bench()
        let store = try bench.openManual()
        let worker = try await bench.worker(in: store)
        var jobs: [NewJob] = []
        for index in 0..<40 {
            jobs.append(
                bench.job {
                    $0.tags = index.isMultiple(of: 3) ? ["a", "b"] : []
                    $0.headers = ["k": "v"]
                    if index.isMultiple(of: 4) { $0.unique = UniqueRule(key: "k\(index)", scope: .forTTL(.hours(1))) }
                    if index.isMultiple(of: 5) { $0.start = .after(.seconds(1)) }
                    if index.isMultiple(of: 7) { $0.startWithin = .minutes(1) }
                }
            )
        }
        _ = try await store.insert(jobs, offer: nil)
        var leases = try await store.claim(bench.request(worker)).jobs.map(\.lease)
        _ = try? await store.note([LeaseNote(lease: leases[0], progress: (0.5, "half"))])
        let client = try bench.client()
        for _ in 0..<12 {
            let name = ["j", "a", "x", "u"].randomElement(using: &generator) ?? "j"
            try await damage(hash(name, of: bench), with: client, using: &generator)
        }
        bench.clock.advance(by: .seconds(2))
        for _ in 0..<8 {
            leases += (try await tolerated { try await store.claim(bench.request(worker)).jobs.map(\.lease) }) ?? []
        }
        let ids = jobs.map(\.id)
        for (index, lease) in leases.enumerated() {
            let failed = Outcome.retry(after: .zero, error: StoredError(type: "Oops", message: ""), timedOut: false)
            let settlement = Settlement(
                lease: lease,
                outcome: index.isMultiple(of: 3) ? failed : .succeeded(result: nil)
            )
            _ = try await tolerated { try await store.settle([settlement]) }
        }
        _ = try await tolerated {
            try await store.beat(Beat(worker: worker, held: leases, accountedThrough: bench.clock.now))
        }
        for id in ids { _ = try await tolerated { try await store.jobs([id], parts: .all) } }
        _ = try await tolerated { try await store.list(JobFilter(tags: ["a"]), page: JobPageRequest()) }
        _ = try await tolerated {
            try await store.insert(jobs.map { job in bench.job { $0.unique = job.unique } }, offer: nil)
        }
        bench.clock.advance(by: .hours(1))
        for task in [
            MaintenanceTask.rescue(silence: .seconds(1)), .expire, .sweep, .findOrphans(olderThan: .zero), .recount,
        ] {
            _ = try await tolerated { try await store.maintain(task) }
        }
        _ = try await tolerated { try await store.maintain(.prune(RetentionPolicy(ages: [.succeeded: .zero]))) }
        let all = ErrandCore.Operation(.delete, on: .ids(ids), actor: "ada", reason: "")
        _ = try await tolerated { try await store.operate(all) }
        // New work is not stopped by any of this.
        let next = try await bench.worker(in: store)
        let fresh = bench.job { $0.priority = .urgent }
        _ = try await store.insert([fresh], offer: nil)
        let claimed = try await store.claim(bench.request(next, limit: 100)).jobs
        #expect(claimed.contains { $0.record.id == fresh.id })
        await client.close()
        try await store.close()
    }

    @Test(
        "whatever bytes are changed, a move comes to its end, and leaves what cannot be read where it is",
        arguments: 1...25 as ClosedRange<UInt64>
    )
    func moves(_ seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let bench = try Bench()
        let store = try bench.openManual()
        let worker = try await bench.worker(in: store)
        let jobs = (0..<60)
            .map { index in
                bench.job {
                    if index.isMultiple(of: 3) { $0.unique = UniqueRule(key: "k\(index)", conflict: .runAgainAfter) }
                    if index.isMultiple(of: 5) { $0.start = .after(.minutes(1)) }
                    if index.isMultiple(of: 7) { $0.tags = ["a"] }
                }
            }
        _ = try await store.insert(jobs, offer: nil)
        let leases = try await store.claim(bench.request(worker)).jobs.map(\.lease)
        _ = try await store.insert(jobs.prefix(9).map { job in bench.job { $0.unique = job.unique } }, offer: nil)
        _ = try await store.note(leases.map { LeaseNote(lease: $0, progress: (0.5, "half")) })
        let failed = Outcome.retry(after: .zero, error: StoredError(type: "Oops", message: ""), timedOut: false)
        _ = try await store.settle(leases.map { Settlement(lease: $0, outcome: failed) })
        let client = try bench.client()
        for _ in 0..<20 {
            let name = ["j", "a", "x", "u"].randomElement(using: &generator) ?? "j"
            try await damage(hash(name, of: bench), with: client, using: &generator)
        }
        let memory = MemoryStore(clock: bench.clock)
        var (calls, moved) = (0, 0)
        for part in ExportRequest.Part.allCases {
            var after: String?
            repeat {
                calls += 1
                let id = try #require(ExportID(bytes: bench.id().bytes))
                let batch = try await store.export(
                    ExportRequest(id: id, destination: "there", part: part, after: after, limit: 9)
                )
                after = batch.next
                moved += batch.jobs.count
                _ = try await memory.import(batch)
                try await store.endExport(id, as: .arrived)
            } while after != nil && calls < 200
        }
        #expect(calls < 200, "seed \(seed)")
        #expect(moved > 30, "seed \(seed)")
        #expect(try await store.maintain(.sweep).hasMore == false)
        await client.close()
        try await store.close()
    }

    @Test("a batch on its way that is damaged is said to be so, and nothing more is let go")
    func damagedBatch() async throws {
        let bench = try Bench()
        let store = try bench.openManual()
        _ = try await store.insert((0..<3).map { _ in bench.job() }, offer: nil)
        let id = try #require(ExportID(bytes: bench.id().bytes))
        let request = ExportRequest(id: id, destination: "there", part: .pending, limit: 1)
        #expect(try await store.export(request).jobs.count == 1)
        let client = try bench.client()
        _ = try await client.send(RedisCommand("LSET", hash("X:pieces", of: bench), "0", ".{\"jobs\": 1"))
        #expect(await failure { _ = try await store.export(request) }?.code == .corrupt)
        #expect(await failure { try await store.endExport(id, as: .returned) }?.code == .corrupt)
        #expect(try await store.counts().count() == 2)
        await client.close()
        try await store.close()
    }

    /// The answer, or nothing when the store said what is wrong.
    private func tolerated<Answer>(_ call: () async throws -> Answer) async throws -> Answer? {
        do {
            return try await call()
        } catch let error as StoreError {
            #expect(error.code == .corrupt, "\(error)")
            return nil
        }
    }

    /// Changes, cuts or empties one value of a hash.
    private func damage(_ hash: String, with client: RedisClient, using generator: inout SeededGenerator) async throws {
        let pairs = try await client.send(RedisCommand("HGETALL", hash)).elements ?? []
        guard !pairs.isEmpty else { return }
        let index = Int.random(in: 0..<(pairs.count / 2), using: &generator) * 2
        guard let field = pairs[index].buffer, let value = pairs[index + 1].buffer else { return }
        var bytes = Array(buffer: value)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator)))
        case 1: bytes += [1, 2, 3]
        default:
            guard !bytes.isEmpty else { return }
            bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
        var command = RedisCommand("HSET", hash)
        command.append(field)
        command.append(bytes)
        _ = try await client.send(command)
    }
}
