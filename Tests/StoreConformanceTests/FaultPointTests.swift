// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandSQLite
import ErrandTesting
import Foundation
import Testing

@Suite("Any one call of the store may go wrong", .timeLimit(.minutes(5)))
struct FaultPointTests {
    /// An engine to run the path on.
    enum Engine: String, Sendable, CaseIterable {
        case memory
        case sqlite

        /// Runs `body` with a fresh store and closes it.
        func with<Value>(_ clock: ManualClock, _ body: (any JobStore) async throws -> Value) async throws -> Value {
            guard self == .sqlite else { return try await body(MemoryStore(clock: clock)) }
            let folder = URL(fileURLWithPath: NSTemporaryDirectory())
                .appendingPathComponent("errand-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            var configuration = SQLiteConfiguration(durability: .processCrash)
            configuration.wakeUp = .poll
            let file = folder.appendingPathComponent("jobs.db").path
            let store = try SQLiteStore(path: file, configuration: configuration, clock: clock)
            let value = try await body(store)
            try await store.close()
            return value
        }
    }

    @Test(
        "failing each call of the run path in turn, every job succeeds once and every extra run has its cause",
        arguments: Engine.allCases,
        [FaultyStore.Fault.unavailable, .loseAnswer]
    )
    func eachCall(_ engine: Engine, _ fault: FaultyStore.Fault) async throws {
        var call = 1
        while try await fails(engine, fault, at: call) { call += 1 }
        #expect(call > 25, "the run path has more calls than that")
    }

    /// One run.
    /// - Returns: Whether it came as far as the call that fails.
    private func fails(_ engine: Engine, _ fault: FaultyStore.Fault, at call: Int) async throws -> Bool {
        let clock = ManualClock()
        return try await engine.with(clock) { store in
            let path = RunPath(over: store, clock: clock, fault: fault, call: call)
            let jobs = try await path.run()
            let isReached = path.store.calls() >= call
            try await check(jobs, of: path, isReached ? "call \(call)" : "no call")
            if !isReached {
                for number in jobs.keys { #expect(path.runs[number] == (number == 1 ? 2 : 1)) }
            }
            return isReached
        }
    }

    private func check(_ jobs: [Int: JobID], of path: RunPath, _ fault: String) async throws {
        for (number, id) in jobs {
            let record = try #require(try await path.inner.jobs([id], parts: .all).first)
            #expect(record.state == .succeeded, "job \(number), \(fault)")
            #expect(record.result != nil, "job \(number), \(fault)")
            let causes = record.failures + record.crashes + record.releases
            let runs = path.runs[number]
            #expect(runs >= 1 && runs <= 1 + causes, "job \(number) ran \(runs) times, \(causes) causes, \(fault)")
            #expect(record.attempts.count(where: { $0.ending != .succeeded }) == causes, "job \(number), \(fault)")
        }
        #expect(try await path.inner.counts().count() == jobs.count, "\(fault)")
        let ends = try await path.inner.series(
            SeriesRequest(from: .epoch, before: .distantFuture, metrics: [.succeeded])
        )
        #expect(ends.reduce(0) { $0 + $1.value } == jobs.count, "each succeeded once, \(fault)")
    }
}
