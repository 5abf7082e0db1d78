// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandSQLite
import ErrandTesting
import Foundation
import Testing

@Suite("Moving between stores", .timeLimit(.minutes(3)))
struct StoreTransferTests {
    /// Stores that are closed, and their files removed, at the end.
    private func withStores(
        _ clock: any ErrandClock,
        _ body: (_ memory: MemoryStore, _ sqlite: SQLiteStore) async throws -> Void
    ) async throws {
        let folder = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("errand-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var configuration = SQLiteConfiguration(durability: .processCrash)
        configuration.wakeUp = .poll
        let file = folder.appendingPathComponent("jobs.db").path
        let sqlite = try SQLiteStore(path: file, configuration: configuration, clock: clock)
        try await body(MemoryStore(clock: clock), sqlite)
        try await sqlite.close()
    }

    private func transfer(
        _ source: any JobStore,
        _ destination: any JobStore,
        _ clock: any ErrandClock,
        batch: Int = 5
    ) -> StoreTransfer {
        var configuration = StoreTransferConfiguration()
        (configuration.batchLimit, configuration.patience) = (batch, .zero)
        configuration.destinationName = "there"
        configuration.pollInterval = .milliseconds(5)
        return StoreTransfer(from: source, to: destination, configuration: configuration, clock: clock)
    }

    private func same(_ one: StoreContents, _ other: StoreContents, _ when: String) {
        for difference in one.differences(from: other) { Issue.record("\(when): \(difference)") }
    }

    @Test("memory to SQLite to memory: every row is the same, and the stores before have none")
    func chain() async throws {
        let clock = ManualClock()
        try await withStores(clock) { memory, sqlite in
            try await StoreConformance.fill(memory, clock: clock)
            let before = try await StoreContents(of: memory)
            #expect(before.jobs.count > 15)
            let report = try await transfer(memory, sqlite, clock).run()
            #expect(report.jobs == before.jobs.count)
            #expect(report.batches > 3)
            #expect((report.present, report.keyless, report.repeats, report.left) == (0, 0, 0, 0))
            same(before, try await StoreContents(of: sqlite), "in SQLite")
            let last = MemoryStore(clock: clock)
            try await transfer(sqlite, last, clock).run()
            same(before, try await StoreContents(of: last), "back in memory")
            #expect(try await sqlite.counts().rows.isEmpty)
            #expect(try await memory.counts().rows.isEmpty)
            let again = try await transfer(sqlite, last, clock).run()
            #expect((again.jobs, again.records, again.batches) == (0, 0, 0), "a second run has nothing to do")
            same(before, try await StoreContents(of: last), "after a second run")
        }
    }

    @Test(
        "stopped at any call and begun again, it loses nothing and doubles nothing",
        arguments: [FaultyStore.Fault.unavailable, .loseAnswer],
        [true, false]
    )
    func stopped(_ fault: FaultyStore.Fault, toSQLite: Bool) async throws {
        for atSource in [true, false] {
            var call = 1
            while try await stops(fault, at: call, atSource: atSource, toSQLite: toSQLite) { call += 1 }
            #expect(call > 10, "a move has more calls than that")
        }
    }

    /// - Returns: Whether the move came as far as the call that fails.
    private func stops(
        _ fault: FaultyStore.Fault,
        at call: Int,
        atSource: Bool,
        toSQLite: Bool
    ) async throws -> Bool {
        let clock = ManualClock()
        var isReached = false
        try await withStores(clock) { memory, sqlite in
            let (from, to): (any JobStore, any JobStore) = toSQLite ? (memory, sqlite) : (sqlite, memory)
            try await StoreConformance.fill(from, clock: clock)
            let before = try await StoreContents(of: from)
            let (source, destination) = (FaultyStore(from, clock: clock), FaultyStore(to, clock: clock))
            (atSource ? source : destination).plan(fault, for: nil, number: call)
            do {
                try await transfer(source, destination, clock).run()
            } catch let error as StoreError where error.isTransient {
                isReached = true
                try await transfer(source, destination, clock).run()
            }
            let when = "call \(call) of the \(atSource ? "source" : "destination")"
            same(before, try await StoreContents(of: to), when)
            #expect(try await from.counts().rows.isEmpty, "\(when)")
        }
        return isReached
    }

    @Test("outages that end within the patience are waited for")
    func patience() async throws {
        try await withStores(SystemClock.shared) { memory, sqlite in
            _ = try await memory.insert([new(), new(), new()], offer: nil)
            let (source, destination) = (
                FaultyStore(memory, clock: SystemClock.shared), FaultyStore(sqlite, clock: SystemClock.shared)
            )
            source.plan(.loseAnswer, for: .export, number: 1)
            destination.plan(.loseAnswer, for: .import, number: 1)
            destination.plan(.unavailable, for: .import, number: 2)
            source.plan(.loseAnswer, for: .endExport, number: 1)
            let report = try await StoreTransfer(from: source, to: destination).run()
            #expect((report.jobs, report.repeats) == (3, 1))
            #expect(try await sqlite.counts().count(.ready) == 3)
        }
    }

    @Test("given up half-way, jobs that had not arrived go on where they were, and never arrive")
    func cancelled() async throws {
        let clock = ManualClock()
        try await withStores(clock) { memory, sqlite in
            let jobs = (0..<4).map { _ in new() }
            _ = try await memory.insert(jobs, offer: nil)
            let destination = FaultyStore(sqlite, clock: clock)
            destination.planAlways(.unavailable, for: .import)
            await #expect(throws: StoreError.self) { try await transfer(memory, destination, clock).run() }
            #expect(try await memory.counts().count() == 0)
            let late = try await memory.export(ExportRequest(id: id(clock), destination: "there", part: .pending))
            await #expect(throws: StoreError.self) { try await transfer(memory, destination, clock).cancel() }
            destination.heal()
            #expect(try await transfer(memory, destination, clock).cancel())
            #expect(try await memory.counts().count(.ready) == 4)
            #expect(try await sqlite.import(late) == ImportAnswer(isRepeat: true))
            #expect(try await sqlite.counts().count() == 0)
            #expect(try await memory.insert(jobs, offer: nil) == jobs.map { .stored($0.id) })
            #expect(try await memory.counts().count() == 4)
        }
    }

    @Test("given up half-way, a batch that had arrived has arrived")
    func cancelledLate() async throws {
        let clock = ManualClock()
        try await withStores(clock) { memory, sqlite in
            _ = try await memory.insert([new(), new()], offer: nil)
            let source = FaultyStore(memory, clock: clock)
            source.planAlways(.unavailable, for: .endExport)
            await #expect(throws: StoreError.self) { try await transfer(source, sqlite, clock).run() }
            source.heal()
            #expect(try await !transfer(source, sqlite, clock).cancel())
            #expect(try await memory.counts().count() == 0)
            #expect(try await sqlite.counts().count(.ready) == 2)
            #expect(try await !transfer(source, sqlite, clock).cancel(), "nothing was on its way")
        }
    }

    @Test("a store is not moved to itself, nor a batch to somewhere else")
    func wrongStores() async throws {
        let clock = ManualClock()
        try await withStores(clock) { memory, sqlite in
            _ = try await memory.insert([new()], offer: nil)
            await #expect { try await transfer(memory, memory, clock).run() } throws: {
                ($0 as? StoreError)?.code == .invalid
            }
            let open = ExportRequest(id: id(clock), destination: "elsewhere", part: .pending)
            #expect(try await memory.export(open).jobs.count == 1)
            await #expect { try await transfer(memory, sqlite, clock).run() } throws: {
                ($0 as? StoreError)?.code == .conflict
            }
        }
    }

    private func new() -> NewJob {
        NewJob(id: Chance.system.jobID(at: .epoch), name: "mail", payload: Payload(bytes: Array("{}".utf8)))
    }

    private func id(_ clock: ManualClock) -> ExportID {
        let now = clock.now
        return Chance.system.draw { ExportID(at: now, using: &$0) }
    }
}
