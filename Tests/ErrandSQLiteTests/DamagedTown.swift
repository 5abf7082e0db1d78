// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Foundation
import GRDB
import Testing

@testable import ErrandSQLite

/// A store with a few jobs, some of which are damaged, and everything that is done with jobs in the course of time.
final class DamagedTown {
    private let bench: Bench
    private var store: SQLiteStore
    private var generator: SeededGenerator
    private let jobs: [NewJob]
    private var worker: WorkerID
    private var leases: [Lease] = []
    private var victims: Set<JobID>
    /// What was overwritten.
    private(set) var damages: [String] = []

    init(_ generator: SeededGenerator) async throws {
        var generator = generator
        bench = try Bench()
        store = try bench.open { $0.durability = .processCrash }
        worker = try await bench.worker(in: store)
        let clock = bench.clock
        let jobs = (0..<7)
            .map { number in
                var job = NewJob(
                    id: JobID(at: clock.now, using: &generator),
                    name: "mail",
                    payload: Payload(bytes: [0x7B, 0x7D])
                )
                job.tags = number == 0 ? [] : ["a", "b\(number)"]
                job.headers = number == 1 ? [:] : ["h": "\(number)"]
                if number.isMultiple(of: 2) { job.unique = UniqueRule(key: "k\(number)") }
                if number == 3 { job.deadline = .days(30) }
                if number == 4 { job.start = .after(.seconds(1)) }
                if number == 5 { job.retry = .attempts(3, backoff: .fixed(.seconds(1))) }
                return job
            }
        self.jobs = jobs
        victims = Set((0...generator.below(3)).map { _ in generator.pick(jobs).id })
        self.generator = generator
        _ = try await store.insert(jobs, offer: nil)
        bench.clock.advance(by: .seconds(2))
        if generator.once(in: 2) { try await makeHistory() }
    }

    func close() async throws { try await store.close() }

    /// Gives some of the jobs an attempt, log lines, a checkpoint and an error.
    private func makeHistory() async throws {
        let claimed = try await store.claim(bench.request(worker, limit: 4)).jobs
        let line = LogLine(at: bench.clock.now, level: "info", message: "line")
        let value = Payload(bytes: [0x31])
        let notes = claimed.map {
            LeaseNote(lease: $0.lease, progress: (0.5, "half"), lines: [line], checkpoints: ["c": value])
        }
        _ = try await store.note(notes)
        let error = StoredError(type: "Oops", message: "it broke")
        let outcome = Outcome.retry(after: .zero, error: error, timedOut: false)
        _ = try await store.settle(claimed.map { Settlement(lease: $0.lease, outcome: outcome) })
        bench.clock.advance(by: .seconds(1))
    }

    /// Overwrites values of the victims, or of any row of a table that jobs share.
    func damage(_ tables: [String]) async throws {
        for _ in 0...generator.below(3) {
            let table = generator.pick(tables)
            let victim = Data(generator.pick(victims.sorted()).bytes)
            let seed = generator.next()
            let damage = try await store.pool.write { db in
                var chance = SeededGenerator(seed: seed)
                return try RowDamage.strike(table, ofJob: victim, in: db, using: &chance)
            }
            if let damage { damages.append(damage.words) }
        }
        // Half of the time by a process that has seen nothing before.
        if generator.once(in: 2) {
            try await store.close()
            store = try bench.open { $0.durability = .processCrash }
            try await attempt { self.worker = try await self.bench.worker(in: self.store) }
        }
    }

    /// A call may fail with an error of the store, and with nothing else.
    private func attempt(_ call: () async throws -> Void) async throws {
        do {
            try await call()
        } catch let error as StoreError {
            #expect(!error.message.isEmpty)
        }
    }

    /// Claims what there is and says what running jobs say.
    func workOn() async throws {
        for _ in 0..<4 {
            try await attempt {
                let claimed = try await self.store.claim(self.bench.request(self.worker)).jobs
                self.leases += claimed.map(\.lease)
            }
        }
        let line = LogLine(at: bench.clock.now, level: "info", message: "line")
        try await attempt {
            _ = try await self.store.note(self.leases.map { LeaseNote(lease: $0, progress: (0.1, ""), lines: [line]) })
        }
        try await attempt {
            _ = try await self.store.beat(
                Beat(worker: self.worker, held: self.leases, accountedThrough: self.bench.clock.now)
            )
        }
        try await look()
        bench.clock.advance(by: .seconds(3))
    }

    /// Ends what runs, lets time pass and operators act; then a worker comes and does what is left.
    func liveOn() async throws {
        let done = leases.enumerated()
            .map { index, lease in
                Settlement(
                    lease: lease,
                    outcome: index.isMultiple(of: 3) ? .released : .succeeded(result: Payload(bytes: [0x31]))
                )
            }
        try await attempt { _ = try await self.store.settle(done) }
        try await look()
        try await operate()
        bench.clock.advance(by: .seconds(40))
        for task in [
            .rescue(silence: .seconds(30)), .expire, .sweep, .findOrphans(olderThan: .seconds(1)), .recount,
            .prune(RetentionPolicy()),
        ] as [MaintenanceTask] {
            try await attempt { _ = try await self.store.maintain(task) }
        }
        try await attempt { try await self.store.retire(self.worker) }
        try await attempt { self.worker = try await self.bench.worker(in: self.store) }
        for _ in 0..<4 {
            try await attempt {
                let claimed = try await self.store.claim(self.bench.request(self.worker)).jobs
                let ends = claimed.map { Settlement(lease: $0.lease, outcome: .succeeded(result: nil)) }
                _ = try await self.store.settle(ends)
            }
            bench.clock.advance(by: .seconds(5))
        }
        try await look()
    }

    private func look() async throws {
        let store = store
        let ids = jobs.map(\.id)
        for filter in [
            JobFilter(), JobFilter(states: [.ready, .failed]), JobFilter(tags: ["a"], text: "{"),
            JobFilter(isHeld: true),
        ] {
            try await attempt { _ = try await store.list(filter, page: JobPageRequest(limit: 3)) }
            try await attempt { _ = try await store.count(filter, limit: 100) }
        }
        for id in ids { try await attempt { _ = try await store.jobs([id], parts: .all).map { "\($0)" } } }
        try await attempt { _ = try await store.counts() }
        try await attempt { _ = try await store.workers() }
        try await attempt { _ = try await store.pauses() }
        try await attempt { _ = try await store.audit(limit: 100) }
        try await attempt { _ = try await store.series(SeriesRequest(from: .epoch, before: .distantFuture)) }
        #expect(await store.describe().warnings.allSatisfy { !$0.isEmpty })
    }

    /// Operators act on the victims, and by filters that mean all but change nobody else.
    private func operate() async throws {
        let store = store
        let meant = Array(victims)
        let actions: [ErrandCore.Operation.Action] = [
            .cancel, .hold(lasting: .seconds(5)), .release, .retry(spread: .zero),
        ]
        for action in actions {
            try await attempt {
                _ = try await store.operate(ErrandCore.Operation(action, on: .ids(meant), actor: "fuzz", reason: ""))
            }
        }
        try await attempt {
            try await store.setControls([.pause(.queue("other"), actor: "fuzz", reason: "r", lasting: nil)])
        }
    }

    /// Whatever was done to the victims, every other job came to its end, once.
    func expectOthersDone(_ again: String) async throws {
        for job in jobs where !victims.contains(job.id) {
            let record = try #require(try await store.jobs([job.id], parts: []).first, "\(damages), \(again)")
            #expect(record.state == .succeeded, "job \(record), \(damages), \(again)")
        }
    }
}
