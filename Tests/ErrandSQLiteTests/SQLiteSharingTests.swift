// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Foundation
import GRDB
import Subprocess
import Testing

@testable import ErrandSQLite

@Suite("Several stores on one SQLite file", .timeLimit(.minutes(3)))
struct SQLiteSharingTests {
    @Test("a write wakes the other store and not its own")
    func wakeUp() async throws {
        let bench = try Bench()
        let (here, there) = (try bench.open(), try bench.open())
        await until { here.signals?.hasCompany == true && there.signals?.hasCompany == true }
        let (own, other) = (Signals(of: here.hub), Signals(of: there.hub))
        _ = try await here.insert([bench.job()], offer: nil)
        await other.first { $0 == .elsewhere }
        #expect(own.all == [.work([.default])])
        #expect(await here.describe().warnings.contains { $0.contains("several processes") } == isOldSQLite)
        try await here.close()
        await until { there.signals?.hasCompany == false }
        try await there.close()
    }

    private var isOldSQLite: Bool { Database.sqliteLibVersionNumber < 3_051_003 }

    @Test("without watching, a write wakes nobody else, and is seen by whoever looks")
    func polling() async throws {
        let bench = try Bench()
        let (here, there) = (try bench.open { $0.wakeUp = .poll }, try bench.open { $0.wakeUp = .poll })
        #expect(here.signals == nil)
        let other = Signals(of: there.hub)
        let worker = try await bench.worker(in: there)
        _ = try await here.insert([bench.job()], offer: nil)
        #expect(try await there.claim(bench.request(worker)).jobs.count == 1)
        #expect(other.all.isEmpty)
        try await here.close()
        try await there.close()
    }

    @Test("of many successes in one write, those whose row another process has changed are decided alone")
    func changedMeanwhile() async throws {
        let bench = try Bench()
        let (here, there) = (try bench.open(), try bench.open())
        let worker = try await bench.worker(in: here)
        let jobs = (0..<5).map { _ in bench.job() }
        _ = try await here.insert(jobs, offer: nil)
        let claimed = try await here.claim(bench.request(worker)).jobs
        #expect(claimed.count == 5)
        let cancel = Operation(.cancel, on: .ids([jobs[1].id]), actor: "ada", reason: "test")
        #expect(try await there.operate(cancel).changed == [jobs[1].id])
        let stolen = claimed[3].lease.row
        try await there.write { session, _ in
            try session.db.execute(sql: "UPDATE errand_jobs SET epoch = 2 WHERE row = ?", arguments: [stolen])
        }
        let answers = try await here.settle(
            claimed.map { Settlement(lease: $0.lease, outcome: .succeeded(result: nil)) }
        )
        let found = try await here.jobs(jobs.map(\.id), parts: [])
        #expect(answers.count == 5)
        for index in [0, 2, 4] {
            #expect(answers[index] == .applied(.succeeded))
            #expect(found[index].state == .succeeded)
        }
        #expect(answers[1] == .applied(found[1].state))
        #expect(found[1].state.isFinal)
        #expect(answers[3] == .leaseLost)
        #expect(found[3].state == .running)
        #expect(try await here.counts().count(.running) == 1)
        try await here.close()
        try await there.close()
    }

    @Test("what a dead store left behind is no company")
    func leftover() async throws {
        let bench = try Bench()
        let store = try bench.open()
        _ = FileManager.default.createFile(atPath: store.file + "-workers/gone.wake", contents: Data())
        try await store.close()
        let next = try bench.open()
        #expect(next.signals?.hasCompany == false)
        try await next.close()
    }

    @Test("a worker whose process is gone is found dead at once, one that lives or is stopped is not")
    func death() async throws {
        let bench = try Bench()
        let (dying, other) = (try bench.open(), try bench.open())
        let worker = try await bench.worker(in: dying)
        let job = bench.job()
        _ = try await dying.insert([job], offer: nil)
        let claimed = try #require(try await dying.claim(bench.request(worker)).jobs.first)
        #expect(try await other.maintain(.rescue(silence: .seconds(30))) == MaintenanceReport())
        // Closing drops the locks and says nothing to the store, as a death does.
        try await dying.close()
        let report = try await other.maintain(.rescue(silence: .seconds(30)))
        #expect(report.rescued == [job.id: .ready])
        #expect(report.deadWorkers == [worker])
        let late = Settlement(lease: claimed.lease, outcome: .succeeded(result: nil))
        #expect(try await other.settle([late]) == [.leaseLost])
        #expect(try await other.maintain(.rescue(silence: .seconds(30))) == MaintenanceReport())
        try await other.close()
    }

    @Test("a death that was noticed by a rescue that failed is noticed again by the next")
    func deathAfterFailure() async throws {
        let bench = try Bench()
        let (dying, other) = (try bench.open(), try bench.open())
        let worker = try await bench.worker(in: dying)
        let job = bench.job()
        _ = try await dying.insert([job], offer: nil)
        _ = try await dying.claim(bench.request(worker))
        try await dying.close()
        let lock = "\(other.file)-workers/\(worker).lock"
        try await other.pool.write { db in
            try db.execute(
                sql: """
                    CREATE TRIGGER refuse BEFORE UPDATE ON errand_jobs BEGIN SELECT RAISE(ABORT, 'the disk failed'); END
                    """
            )
        }
        #expect(await code { _ = try await other.maintain(.rescue(silence: .seconds(30))) } != nil)
        #expect(FileManager.default.fileExists(atPath: lock))
        try await other.pool.write { try $0.execute(sql: "DROP TRIGGER refuse") }
        let report = try await other.maintain(.rescue(silence: .seconds(30)))
        #expect(report.rescued == [job.id: .ready])
        #expect(report.deadWorkers == [worker])
        #expect(!FileManager.default.fileExists(atPath: lock))
        try await other.close()
    }

    @Test("a worker keeps its lock when its retirement fails, and its file goes when it succeeds")
    func retirement() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        let lock = "\(store.file)-workers/\(worker).lock"
        _ = try await store.insert([bench.job()], offer: nil)
        _ = try await store.claim(bench.request(worker))
        // The counts come last, when all else is done.
        try await store.pool.write { db in
            try db.execute(
                sql: """
                    CREATE TRIGGER refuse BEFORE INSERT ON errand_counters BEGIN SELECT RAISE(ABORT, 'no'); END
                    """
            )
        }
        #expect(await code { try await store.retire(worker) } != nil)
        #expect(FileManager.default.fileExists(atPath: lock))
        try await store.pool.write { try $0.execute(sql: "DROP TRIGGER refuse") }
        try await store.retire(worker)
        #expect(!FileManager.default.fileExists(atPath: lock))
        try await store.close()
    }

    @Test("registering rescues the jobs of the dead, so that a restart costs no wait")
    func restart() async throws {
        let bench = try Bench()
        let first = try bench.open()
        let worker = try await bench.worker(in: first)
        let job = bench.job()
        _ = try await first.insert([job], offer: nil)
        _ = try await first.claim(bench.request(worker))
        try await first.close()
        let second = try bench.open()
        let next = try await bench.worker(in: second)
        #expect(try await second.claim(bench.request(next)).jobs.map(\.record.id) == [job.id])
        try await second.close()
    }

    @Test("a lock tells the death of a process from the life of one")
    func locks() throws {
        let bench = try Bench()
        let worker = try #require(WorkerID("0192f3c4-0000-7000-8000-000000000001"))
        let (own, other) = (WorkerLocks(folder: bench.folder), WorkerLocks(folder: bench.folder))
        #expect(!other.isGone(worker), "a worker without a file is not known to be dead")
        #expect(own.take(worker))
        #expect(own.take(worker), "taking it again is harmless")
        #expect(!other.take(worker))
        #expect(!own.isGone(worker))
        #expect(!other.isGone(worker))
        own.drop()
        #expect(other.isGone(worker))
        #expect(other.isGone(worker), "asking changes nothing")
        other.release(worker)
        #expect(!FileManager.default.fileExists(atPath: "\(bench.folder)/\(worker).lock"))
    }

    @Test("a process that is killed loses its lock")
    func killed() async throws {
        let bench = try Bench()
        let worker = try #require(WorkerID("0192f3c4-0000-7000-8000-000000000001"))
        let file = "\(bench.folder)/\(worker).lock"
        let locks = WorkerLocks(folder: bench.folder)
        _ = try await Subprocess.run(
            .name("flock"),
            arguments: ["--no-fork", file, "/bin/sh", "-c", "echo locked; exec sleep 60"],
            input: .none,
            output: .sequence,
            error: .discarded
        ) { execution in
            for try await _ in execution.standardOutput { break }
            #expect(!locks.isGone(worker))
            try execution.send(signal: .kill)
        }
        #expect(locks.isGone(worker))
    }

    @Test("jobs of a worker whose row is missing are rescued from their own rows")
    func missingWorker() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        let job = bench.job()
        _ = try await store.insert([job], offer: nil)
        _ = try await store.claim(bench.request(worker))
        try await store.pool.write { try $0.execute(sql: "DELETE FROM errand_workers") }
        #expect(try await store.maintain(.rescue(silence: .hours(1))).rescued == [job.id: .ready])
        try await store.close()
    }

    @Test("numbers of lanes and workers that another store added are found")
    func catalogue() async throws {
        let bench = try Bench()
        let (here, there) = (try bench.open(), try bench.open())
        let worker = try await bench.worker(in: there)
        for index in 0..<5 {
            let (writer, reader) = index.isMultiple(of: 2) ? (here, there) : (there, here)
            let job = bench.job(queue: QueueName("q\(index)")) { $0.retry = .attempts(index + 2) }
            _ = try await writer.insert([job], offer: nil)
            let read = try #require(try await reader.jobs([job.id], parts: .all).first)
            #expect(read == JobRecord(job, at: bench.clock.now))
            let request = ClaimRequest(
                worker: worker,
                names: ["mail": 1],
                queues: [.init(name: job.queue, slots: 1)],
                limit: 1
            )
            #expect(try await there.claim(request).jobs.map(\.record.id) == [job.id])
        }
        try await here.close()
        try await there.close()
    }

    /// Waits for what a thread of the system is about to notice.
    private func until(_ holds: () -> Bool) async {
        while !holds() { await Task.yield() }
    }
}
