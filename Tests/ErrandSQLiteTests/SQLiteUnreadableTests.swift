// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import GRDB
import Testing

@testable import ErrandSQLite

/// Rows that are damaged, or that a newer build wrote.
@Suite("Rows that this build cannot read", .timeLimit(.minutes(3)))
struct SQLiteUnreadableTests {
    /// What happened to the row of a job, in SQL with its row number for `?1`.
    enum Damage: String, CaseIterable, CustomTestStringConvertible {
        case tags = "UPDATE errand_details SET tags = 'nonsense' WHERE row = ?1"
        case error = "UPDATE errand_details SET error = '[]' WHERE row = ?1"
        case policy = "UPDATE errand_details SET retry = 999 WHERE row = ?1"
        case details = "DELETE FROM errand_details WHERE row = ?1"
        case cancel = "UPDATE errand_jobs SET cancel = 'x' WHERE row = ?1"
        case progress = "UPDATE errand_jobs SET progress = '[\"much\",\"\",\"0\"]' WHERE row = ?1"
        case id = "UPDATE errand_jobs SET id = x'00' WHERE row = ?1"

        var testDescription: String { "\(self)" }
    }

    private func damage(_ id: JobID, _ damage: Damage, in store: SQLiteStore) async throws -> Int64 {
        try await store.pool.write { db in
            let row = try #require(
                try Int64.fetchOne(db, sql: "SELECT row FROM errand_jobs WHERE hex(id) = ?", arguments: [id.hex])
            )
            try db.execute(sql: damage.rawValue, arguments: [row])
            return row
        }
    }

    /// The state of a row and whether it is held, read without this build's eyes.
    private func look(_ row: Int64, in store: SQLiteStore) async throws -> (state: Int, isHeld: Bool, epoch: Int) {
        try await store.pool.read { db in
            let found = try #require(
                try Row.fetchOne(
                    db,
                    sql: "SELECT state, hold IS NOT NULL, epoch FROM errand_jobs WHERE row = ?",
                    arguments: [row]
                )
            )
            return (found[0], found[1], found[2])
        }
    }

    private func isReported(by store: SQLiteStore) async throws -> Bool {
        let isWarned = await store.describe().warnings.contains { $0.contains("cannot be read") }
        let isAudited = try await store.audit(limit: 10).contains { $0.actor == "errand" && $0.action == "hold" }
        return isWarned && isAudited
    }

    @Test("one that runs is held, and the other jobs of the dead worker are rescued", arguments: Damage.allCases)
    func rescue(_ kind: Damage) async throws {
        let bench = try Bench()
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        let jobs = (0..<3).map { _ in bench.job() }
        _ = try await store.insert(jobs, offer: nil)
        #expect(try await store.claim(bench.request(worker)).jobs.count == 3)
        let row = try await damage(jobs[1].id, kind, in: store)
        bench.clock.advance(by: .minutes(1))
        let report = try await store.maintain(.rescue(silence: .seconds(30)))
        #expect(report.rescued == [jobs[0].id: .ready, jobs[2].id: .ready])
        #expect(report.affected == 1)
        #expect(report.deadWorkers == [worker])
        let after = try await look(row, in: store)
        #expect(after == (JobState.ready.rawValue, true, 2))
        #expect(try await isReported(by: store))
        #expect(try await store.maintain(.rescue(silence: .seconds(30))) == MaintenanceReport())
        #expect(try await store.maintain(.recount).affected == 0)
        let next = try await bench.worker(in: store)
        #expect(try await store.claim(bench.request(next)).jobs.map(\.record.id) == [jobs[0].id, jobs[2].id])
        try await store.close()
    }

    @Test("one that a dead process ran does not keep a worker from registering")
    func register() async throws {
        let bench = try Bench()
        let first = try bench.open()
        let worker = try await bench.worker(in: first)
        let jobs = (0..<2).map { _ in bench.job() }
        _ = try await first.insert(jobs, offer: nil)
        _ = try await first.claim(bench.request(worker))
        _ = try await damage(jobs[0].id, .tags, in: first)
        try await first.close()
        let second = try bench.open()
        let next = try await bench.worker(in: second)
        #expect(try await second.claim(bench.request(next)).jobs.map(\.record.id) == [jobs[1].id])
        #expect(try await isReported(by: second))
        try await second.close()
    }

    @Test("one that a worker does not list, or holds with a cancel wish, does not stop its beats")
    func beat() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        let jobs = (0..<3).map { _ in bench.job() }
        _ = try await store.insert(jobs, offer: nil)
        let leases = try await store.claim(bench.request(worker)).jobs.map(\.lease)
        let row = try await damage(jobs[0].id, .tags, in: store)
        _ = try await damage(jobs[1].id, .cancel, in: store)
        let beat = Beat(worker: worker, held: [leases[1]], accountedThrough: bench.clock.now)
        let answer = try await store.beat(beat)
        #expect(answer.released == 1)
        #expect(answer.lost.isEmpty)
        #expect(answer.cancels[jobs[1].id]?.at == bench.clock.now)
        let after = try await look(row, in: store)
        #expect(after.state == JobState.ready.rawValue && after.isHeld)
        #expect(try await store.jobs([jobs[2].id], parts: []).map(\.state) == [.ready])
        try await store.retire(worker)
        #expect(try await store.workers().isEmpty)
        try await store.close()
    }

    @Test("one at the head of its queue is held, and those behind it are claimed", arguments: Damage.allCases)
    func claim(_ kind: Damage) async throws {
        let bench = try Bench()
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        let jobs = (0..<3).map { _ in bench.job() }
        _ = try await store.insert(jobs, offer: nil)
        let row = try await damage(jobs[0].id, kind, in: store)
        #expect(try await store.claim(bench.request(worker)).jobs.map(\.record.id) == [jobs[1].id, jobs[2].id])
        let after = try await look(row, in: store)
        #expect(after == (JobState.ready.rawValue, true, 0))
        #expect(try await isReported(by: store))
        try await store.close()
    }

    @Test("one that was held keeps its data: a build that reads it releases it and runs it")
    func kept() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        let job = bench.job(bytes: Array("the work".utf8)) { $0.tags = ["a"] }
        _ = try await store.insert([job], offer: nil)
        let row = try await damage(job.id, .tags, in: store)
        #expect(try await store.claim(bench.request(worker)).jobs.isEmpty)
        try await store.pool.write { db in
            try db.execute(sql: "UPDATE errand_details SET tags = '[\"a\"]' WHERE row = ?", arguments: [row])
        }
        let held = try #require(try await store.jobs([job.id], parts: []).first)
        #expect(held.hold?.actor == "errand")
        _ = try await store.operate(Operation(.release, on: .ids([job.id]), actor: "ada", reason: "new build"))
        let claimed = try #require(try await store.claim(bench.request(worker)).jobs.first)
        #expect(claimed.record.payload.bytes == Array("the work".utf8))
        #expect(claimed.record.tags == ["a"])
        try await store.close()
    }

    @Test("the end of one is refused, and the ends of the others in the same call hold")
    func settle() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        let jobs = (0..<3).map { _ in bench.job() }
        _ = try await store.insert(jobs, offer: nil)
        let leases = try await store.claim(bench.request(worker)).jobs.map(\.lease)
        _ = try await damage(jobs[1].id, .tags, in: store)
        let error = StoredError(type: "Oops", message: "it broke")
        let answers = try await store.settle(
            leases.map { Settlement(lease: $0, outcome: .failed(.permanent, error: error, timedOut: false)) }
        )
        #expect([answers[0], answers[2]] == [.applied(.failed), .applied(.failed)])
        guard case .refused(let refusal) = answers[1] else {
            Issue.record("the answer was \(answers[1])")
            return
        }
        #expect(refusal.code == .corrupt)
        #expect(try await store.note(leases.map { LeaseNote(lease: $0) }) == [false, false, false])
        try await store.close()
    }

    @Test("one that is late or old does not stop expiry and retention")
    func maintenance() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        let old = (0..<2).map { _ in bench.job() }
        _ = try await store.insert(old, offer: nil)
        let leases = try await store.claim(bench.request(worker)).jobs.map(\.lease)
        _ = try await store.settle(leases.map { Settlement(lease: $0, outcome: .succeeded(result: nil)) })
        let late = (0..<2).map { _ in bench.job { $0.startWithin = .seconds(1) } }
        _ = try await store.insert(late, offer: nil)
        for id in [old[0].id, late[0].id] { _ = try await damage(id, .tags, in: store) }
        bench.clock.advance(by: .days(100))
        #expect(try await store.maintain(.expire).affected == 2)
        #expect(try await store.jobs([late[1].id], parts: []).map(\.state) == [.expired])
        #expect(try await store.maintain(.prune(RetentionPolicy())).affected == 2)
        #expect(try await store.jobs([old[1].id], parts: []).isEmpty)
        #expect(try await store.maintain(.expire).affected == 0)
        #expect(try await store.maintain(.prune(RetentionPolicy())).affected == 0)
        #expect(try await store.pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM errand_jobs") } == 3)
        try await store.close()
    }

    @Test("one that waits for a key does not keep the job before it from its end, and a taken key is refused alone")
    func keys() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        let rule = UniqueRule(key: "k", conflict: .runAgainAfter)
        let (first, next) = (bench.job { $0.unique = rule }, bench.job { $0.unique = rule })
        _ = try await store.insert([first], offer: nil)
        let lease = try #require(try await store.claim(bench.request(worker)).jobs.first?.lease)
        _ = try await store.insert([next], offer: nil)
        _ = try await damage(next.id, .tags, in: store)
        #expect(
            try await store.settle([Settlement(lease: lease, outcome: .succeeded(result: nil))])
                == [.applied(.succeeded)]
        )
        let (holder, other) = (bench.job { $0.unique = rule }, bench.job())
        _ = try await store.insert([holder], offer: nil)
        _ = try await damage(holder.id, .tags, in: store)
        let answers = try await store.insert([bench.job { $0.unique = rule }, other], offer: nil)
        #expect(answers.map(\.id) == [nil, other.id])
        try await store.close()
    }

    @Test("the row of a worker is no reason to stop: the worker keeps its jobs, whatever its row says it can run")
    func workerRow() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        let job = bench.job()
        _ = try await store.insert([job], offer: nil)
        let lease = try #require(try await store.claim(bench.request(worker)).jobs.first?.lease)
        try await store.pool.write { try $0.execute(sql: "UPDATE errand_workers SET names = '{', slots = 'x'") }
        _ = try await bench.worker(in: store)
        #expect(try await store.maintain(.rescue(silence: .seconds(30))) == MaintenanceReport())
        #expect(try await store.workers().count == 2)
        #expect(
            try await store.settle([Settlement(lease: lease, outcome: .succeeded(result: nil))])
                == [.applied(.succeeded)]
        )
        try await store.close()
    }

    @Test(
        "one whose counters are at the end of the numbers is held, running or not, and the others go on",
        arguments: ["epoch", "attempt", "failures", "crashes", "releases", "snoozes", "run", "revision"],
        [Int64.max, -1]
    )
    func counters(_ column: String, _ value: Int64) async throws {
        let bench = try Bench()
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        let jobs = (0..<4).map { _ in bench.job() }
        _ = try await store.insert(jobs, offer: nil)
        let leases = try await store.claim(bench.request(worker, limit: 2)).jobs.map(\.lease)
        for job in [jobs[0], jobs[2]] {
            try await store.pool.write { db in
                let sql = "UPDATE errand_jobs SET \(column) = ? WHERE hex(id) = ?"
                try db.execute(sql: sql, arguments: [value, job.id.hex])
            }
        }
        #expect(try await store.claim(bench.request(worker)).jobs.map(\.record.id) == [jobs[3].id])
        let answers = try await store.settle(leases.map { Settlement(lease: $0, outcome: .snoozed(.zero)) })
        #expect(answers[1] == .applied(.ready))
        bench.clock.advance(by: .minutes(1))
        let report = try await store.maintain(.rescue(silence: .seconds(30)))
        #expect(report.rescued == [jobs[3].id: .ready] && report.affected == 1)
        let held = try await store.pool.read { db in
            try Int.fetchOne(db, sql: "SELECT count(*) FROM errand_jobs WHERE hold IS NOT NULL AND state = 3")
        }
        #expect(held == 2)
        #expect(try await isReported(by: store))
        try await store.close()
    }

    @Test("sums at the end of the numbers do not keep anybody from working, and a recount mends them")
    func sums() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let worker = try await bench.worker(in: store)
        let jobs = (0..<3).map { _ in bench.job() }
        _ = try await store.insert(jobs, offer: nil)
        let lease = try #require(try await store.claim(bench.request(worker, limit: 1)).jobs.first?.lease)
        let line = LogLine(at: bench.clock.now, level: "info", message: "line")
        #expect(try await store.note([LeaseNote(lease: lease, lines: [line])]) == [true])
        try await store.pool.write { db in
            try db.execute(sql: "UPDATE errand_tallies SET n = 9223372036854775807")
            try db.execute(sql: "UPDATE errand_counters SET value = 9223372036854775807")
            try db.execute(sql: "UPDATE errand_job_log SET line = 9223372036854775807")
        }
        #expect(try await store.note([LeaseNote(lease: lease, lines: [line])]) == [true])
        #expect(try await store.counts().count() > 0)
        #expect(try await store.count(JobFilter(), limit: 10).value == 10)
        _ = try await store.series(SeriesRequest(from: .epoch, before: .distantFuture))
        let more = try await store.claim(bench.request(worker)).jobs.map(\.lease)
        let ends = ([lease] + more).map { Settlement(lease: $0, outcome: .succeeded(result: nil)) }
        #expect(try await store.settle(ends).allSatisfy { $0 == .applied(.succeeded) })
        _ = try await store.maintain(.recount)
        let counts = try await store.counts()
        #expect(counts.count(.succeeded) == 3 && counts.count() == 3)
        try await store.close()
    }

    @Test("a page of jobs leaves it out and goes on")
    func list() async throws {
        let bench = try Bench()
        let store = try bench.open()
        let jobs = (0..<3).map { _ in bench.job() }
        _ = try await store.insert(jobs, offer: nil)
        _ = try await damage(jobs[1].id, .tags, in: store)
        let page = try await store.list(JobFilter(), page: JobPageRequest())
        #expect(Set(page.jobs.map(\.id)) == [jobs[0].id, jobs[2].id])
        #expect(await store.describe().warnings.contains { $0.contains("cannot be read") })
        #expect(await code { _ = try await store.jobs([jobs[1].id], parts: []) } == .corrupt)
        try await store.close()
    }
}

extension JobID {
    fileprivate var hex: String { description.filter { $0 != "-" }.uppercased() }
}
