// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Foundation
import Testing

@testable import ErrandSQLite

@Suite("Many that write to one file", .timeLimit(.minutes(5)))
struct SQLiteContentionTests {
    @Test("eight stores with sixteen writers each never hear that the database is locked")
    func locked() async throws {
        let bench = try Bench()
        let seconds = ProcessInfo.processInfo.environment["CONTENTION_SECONDS"].flatMap(Int.init) ?? 3
        let end = SystemClock.shared.uptime + .seconds(seconds)
        var stores: [SQLiteStore] = []
        for _ in 0..<8 { stores.append(try bench.open { $0.durability = .processCrash }) }
        let written = try await withThrowingTaskGroup(of: Int.self) { group in
            for store in stores {
                let worker = try await bench.worker(in: store)
                for writer in 0..<16 {
                    group.addTask {
                        var written = 0
                        repeat {
                            written += try await Self.write(bench, store, worker, writer)
                        } while SystemClock.shared.uptime < end
                        return written
                    }
                }
            }
            return try await group.reduce(0, +)
        }
        let counts = try await stores[0].counts()
        #expect(counts.count() == written && written >= 128)
        #expect(try await stores[0].maintain(.recount).affected == 0)
        for store in stores { try await store.close() }
    }

    /// What a client and a worker write, and how many jobs were stored.
    private static func write(_ bench: Bench, _ store: SQLiteStore, _ worker: WorkerID, _ writer: Int) async throws
        -> Int
    {
        let jobs = (0...writer % 3).map { _ in bench.job() }
        _ = try await store.insert(jobs, offer: nil)
        if writer.isMultiple(of: 2) {
            let claimed = try await store.claim(bench.request(worker, limit: 3)).jobs
            let ends = claimed.map { Settlement(lease: $0.lease, outcome: .succeeded(result: nil)) }
            #expect(try await store.settle(ends).allSatisfy { $0 == .applied(.succeeded) })
        }
        if writer == 7 { _ = try await store.beat(Beat(worker: worker, held: [], accountedThrough: nil)) }
        return jobs.count
    }
}
