// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation
import GRDB
import Synchronization
import Testing

@testable import ErrandSQLite

@Suite("The SQLite writer", .timeLimit(.minutes(3)))
struct SQLiteWriterTests {
    /// Keeps the writer busy until the closure that it gives is called.
    private func stall(_ store: SQLiteStore) async -> @Sendable () -> Void {
        let gate = DispatchSemaphore(value: 0)
        await withCheckedContinuation { entered in
            Task {
                try await store.write { _, _ in
                    entered.resume()
                    gate.wait()
                }
            }
        }
        return { gate.signal() }
    }

    @Test("everything that waits shares one commit")
    func groupCommit() async throws {
        let bench = try Bench()
        let store = try bench.open { $0.callsPerCommit = 1000 }
        let release = await stall(store)
        let before = store.writer.commitCount
        try await withThrowingTaskGroup(of: [InsertAnswer].self) { group in
            for _ in 0..<200 {
                let job = bench.job()
                group.addTask { try await store.insert([job], offer: nil) }
            }
            while store.writer.waitingCount < 200 { await Task.yield() }
            release()
            for try await answers in group { #expect(answers.count == 1) }
        }
        #expect(store.writer.commitCount - before == 1)
        #expect(try await store.counts().count(.ready) == 200)
        try await store.close()
    }

    @Test("what comes while another process has the write lock shares the commit of the call that waits for it")
    func joined() async throws {
        let bench = try Bench()
        let store = try bench.open { $0.callsPerCommit = 6 }
        let other = try DatabaseQueue(path: bench.file)
        let waits = DispatchSemaphore(value: 0)
        let locked = Atomic<Bool>(false)
        let holder = Task.detached {
            try other.writeWithoutTransaction { db in
                try db.inTransaction(.immediate) {
                    locked.store(true, ordering: .releasing)
                    waits.wait()
                    return .rollback
                }
            }
        }
        while !locked.load(ordering: .acquiring) { await Task.yield() }
        let (commits, groups) = (store.writer.commitCount, store.writer.groupCount)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<9 {
                let job = bench.job()
                group.addTask { _ = try await store.insert([job], offer: nil) }
                // The first one is at the lock before the others come.
                while number == 0, store.writer.groupCount == groups { await Task.yield() }
            }
            while store.writer.waitingCount < 8 { await Task.yield() }
            waits.signal()
            try await group.waitForAll()
        }
        try await holder.value
        #expect(store.writer.commitCount - commits == 2, "six calls fit into one commit")
        #expect(try await store.counts().count(.ready) == 9)
        try await store.close()
    }

    @Test("a commit takes no more calls than it is allowed to")
    func bounded() async throws {
        let bench = try Bench()
        let store = try bench.open { $0.callsPerCommit = 10 }
        let release = await stall(store)
        let before = store.writer.commitCount
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<40 {
                let job = bench.job()
                group.addTask { _ = try await store.insert([job], offer: nil) }
            }
            while store.writer.waitingCount < 40 { await Task.yield() }
            release()
            try await group.waitForAll()
        }
        #expect(store.writer.commitCount - before == 4)
        try await store.close()
    }

    @Test("a call that fails does not take its neighbours with it")
    func failingNeighbour() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let release = await stall(store)
        let stranger = try #require(WorkerID("0192f3c4-0000-7000-8000-000000000001"))
        let jobs = (0..<20).map { _ in bench.job() }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for job in jobs {
                group.addTask {
                    _ = try await store.insert([job], offer: nil)
                    return true
                }
                group.addTask { await code { _ = try await store.claim(bench.request(stranger)) } == .notFound }
            }
            while store.writer.waitingCount < 40 { await Task.yield() }
            release()
            for try await holds in group { #expect(holds) }
        }
        #expect(try await store.jobs(jobs.map(\.id), parts: []).count == 20)
        #expect(try await store.counts().count(.ready) == 20)
        try await store.close()
    }

    @Test("a claim that finds nothing writes nothing")
    func idleClaim() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        _ = try await store.insert([bench.job { $0.start = .after(.hours(1)) }], offer: nil)
        let before = store.writer.commitCount
        for _ in 0..<10 { _ = try await store.claim(bench.request(worker)) }
        #expect(store.writer.commitCount == before)
        try await store.close()
    }

    @Test("a write runs to its end although the caller is cancelled")
    func cancelledCaller() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let release = await stall(store)
        let job = bench.job()
        let task = Task { try await store.insert([job], offer: nil) }
        while store.writer.waitingCount < 1 { await Task.yield() }
        task.cancel()
        release()
        #expect(try await task.value == [.stored(job.id)])
        let reader = Task { try await store.jobs([job.id], parts: .all) }
        reader.cancel()
        #expect(try await reader.value.map(\.id) == [job.id])
        try await store.close()
    }

    @Test("while another process writes, a call waits and then is unavailable; afterwards it works")
    func busy() async throws {
        let bench = try Bench()
        let store = try bench.open { $0.busyTimeout = .milliseconds(20) }
        let other = try DatabaseQueue(path: bench.file)
        let gate = DispatchSemaphore(value: 0)
        let (begun, begin) = AsyncStream<Void>.makeStream()
        let writing = Task {
            try await other.write { _ in
                begin.finish()
                gate.wait()
            }
        }
        for await _ in begun {}
        let job = bench.job()
        #expect(await code { _ = try await store.insert([job], offer: nil) } == .unavailable)
        gate.signal()
        try await writing.value
        #expect(try await store.insert([job], offer: nil) == [.stored(job.id)])
        try await store.close()
    }

    @Test("a full disk refuses what does not fit, says so, and lets the rest go on")
    func full() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        let old = bench.job()
        _ = try await store.insert([old], offer: nil)
        let claimed = try #require(try await store.claim(bench.request(worker)).jobs.first)
        try await store.pool.writeWithoutTransaction { db in
            let pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
            try db.execute(sql: "PRAGMA max_page_count = \(pages + 2)")
        }
        let release = await stall(store)
        let big = bench.job(bytes: [UInt8](repeating: 65, count: 1 << 20))
        async let refused = code { _ = try await store.insert([big], offer: nil) }
        async let settled = store.settle([Settlement(lease: claimed.lease, outcome: .succeeded(result: nil))])
        while store.writer.waitingCount < 2 { await Task.yield() }
        release()
        #expect(await refused == .full)
        #expect(try await settled == [.applied(.succeeded)])
        #expect(try await store.jobs([big.id], parts: []).isEmpty)
        #expect(try await store.maintain(.recount).affected == 0)
        try await store.close()
    }

    @Test("a closed store refuses every call and may be closed again")
    func closed() async throws {
        let bench = try Bench()
        let store = try bench.open()
        try await store.close()
        try await store.close()
        #expect(await code { _ = try await store.insert([bench.job()], offer: nil) } == .closed)
        #expect(await code { _ = try await store.counts() } == .closed)
    }

    @Test("the log is copied into the database and does not grow for ever")
    func checkpoint() async throws {
        let bench = try Bench()
        let store = try bench.open { $0.checkpointPages = 50 }
        for _ in 0..<40 {
            let jobs = (0..<50).map { _ in bench.job(bytes: [UInt8](repeating: 1, count: 400)) }
            _ = try await store.insert(jobs, offer: nil)
        }
        let size = try #require(
            try FileManager.default.attributesOfItem(atPath: bench.file + "-wal")[.size] as? NSNumber
        )
        #expect(size.intValue < 400 * 4200)
        try await store.close()
    }

    @Test("waits for another writer grow to 250 µs, vary, and end at the limit")
    func busyWait() {
        #expect((0..<100).allSatisfy { (25...375).contains(BusyWait.wait(try: $0)) })
        #expect(Set((0..<100).map { BusyWait.wait(try: $0) }).count > 50)
        var wait = BusyWait(limit: .milliseconds(1))
        var pauses = 0
        while wait.pause() { pauses += 1 }
        #expect((1...10).contains(pauses))
    }
}
