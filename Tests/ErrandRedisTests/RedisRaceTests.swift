// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import RedisWire
import Synchronization
import TestServers
import Testing

@testable import ErrandRedis

@Suite("Many who want one unique key", .timeLimit(.minutes(3)), .serialized)
struct RedisRaceTests {
    private static let clients = 64

    /// What one client was told in the end, and how often it was told nothing.
    private struct Outcome: Sendable {
        var job: JobID
        var answer: InsertAnswer
        var failures: [StoreError.Code] = []
    }

    private func job(_ bench: Bench, key: String, _ generator: inout SeededGenerator) -> NewJob {
        let conflicts: [UniqueRule.Conflict] = [.returnExisting, .throwError, .replacePending([.payload])]
        let conflict = conflicts[Int.random(in: 0..<conflicts.count, using: &generator)]
        return bench.job { $0.unique = UniqueRule(key: key, conflict: conflict) }
    }

    /// Enqueues and, when the outcome is not known, enqueues again: the same job, by its id.
    private func enqueue(_ job: NewJob, into store: RedisStore) async throws -> Outcome {
        var failures: [StoreError.Code] = []
        while true {
            do {
                let answer = try await store.insert([job], offer: nil)[0]
                return Outcome(job: job.id, answer: answer, failures: failures)
            } catch let error as StoreError where error.isTransient && failures.count < 50 {
                failures.append(error.code)
            }
        }
    }

    @Test(
        "connections are cut before and after the script: no success without a row, never two rows",
        arguments: 1...4 as ClosedRange<UInt64>
    )
    func cuts(seed: UInt64) async throws {
        let rounds = 6
        var generator = SeededGenerator(seed: seed)
        let bench = try Bench()
        let proxy = try await FaultProxy.start(to: .port(bench.server.port))
        let stores = try (0..<Self.clients)
            .map { _ in
                // A machine that is busy with something else must not look like a lost answer.
                try bench.open("redis://127.0.0.1:\(proxy.port)") {
                    ($0.wakeUp, $0.commandTimeLimit) = (.poll, .minutes(1))
                }
            }
        for store in stores { try await store.open() }
        let direct = try bench.open()
        var lost = 0
        for round in 0..<rounds {
            let key = "race-\(seed)-\(round)-"
            for cut in FaultProxy.Cut.allCases {
                for _ in 0..<4 { proxy.cut(cut, at: Int.random(in: 1...40, using: &generator), where: key) }
            }
            let jobs = stores.map { _ in job(bench, key: key, &generator) }
            let before = proxy.counts.cuts
            let outcomes = try await withThrowingTaskGroup(of: Outcome.self) { group in
                for (store, job) in zip(stores, jobs) { group.addTask { try await enqueue(job, into: store) } }
                return try await group.reduce(into: [Outcome]()) { $0.append($1) }
            }
            proxy.forgetCuts()
            let when = "seed \(seed), round \(round)"
            let rows = try await rows(of: direct, key: key)
            #expect(rows.count == 1, "\(when): \(rows.count) rows have the key")
            let holder = try #require(rows.first?.id, "\(when): success without a row")
            #expect(outcomes.count == Self.clients, "\(when)")
            for outcome in outcomes {
                #expect(isTrue(outcome, holder), "\(when): \(outcome), and \(holder) has the key")
            }
            // Each cut took the answer of one call, which was told so.
            let failures = outcomes.flatMap(\.failures)
            #expect(failures.count == proxy.counts.cuts - before, "\(when): \(failures)")
            lost += failures.count { $0 == .outcomeUnknown }
        }
        #expect(lost > 0, "seed \(seed): no write lost its answer, so nothing was tried")
        #expect(try await direct.counts().count() == rounds, "seed \(seed)")
        #expect(try await direct.maintain(.recount).affected == 0, "seed \(seed)")
        for store in stores { try await store.close() }
        try await direct.close()
        try await proxy.close()
    }

    /// Whether an answer is true when this job has the key.
    private func isTrue(_ outcome: Outcome, _ holder: JobID) -> Bool {
        switch outcome.answer {
        case .stored(let id): id == outcome.job && id == holder
        case .duplicate(let id, _), .replaced(let id): id == holder && id != outcome.job
        case .refused(let error): error.code == .conflict && outcome.job != holder
        case .claimed: false
        }
    }

    private func rows(of store: RedisStore, key: String) async throws -> [JobRecord] {
        try await store.list(JobFilter(), page: JobPageRequest(limit: 500)).jobs.filter { $0.unique?.key == key }
    }

    @Test("a client that is half open, and one with an open transaction, keep nobody waiting")
    func slowClient() async throws {
        let bench = try Bench()
        let proxy = try await FaultProxy.start(to: .port(bench.server.port))
        let slow = try bench.open("redis://127.0.0.1:\(proxy.port)") {
            ($0.wakeUp, $0.commandTimeLimit) = (.poll, .minutes(2))
        }
        try await slow.open()
        let fast = try bench.open { $0.wakeUp = .poll }
        let client = try bench.client()
        let keys = "{errand:\(bench.name)}:u"
        for command in [RedisCommand("WATCH", keys), RedisCommand("MULTI"), RedisCommand("HLEN", keys)] {
            _ = try await client.send(command)
        }
        try await proxy.set(.swallow)
        let isOver = Mutex(false)
        let mine = bench.job { $0.unique = UniqueRule(key: "slow") }
        let waiting = Task {
            defer { isOver.withLock { $0 = true } }
            return await failure { _ = try await slow.insert([mine], offer: nil) }
        }
        while proxy.counts.swallowed == 0 { await Task.yield() }
        let jobs = (0..<Self.clients)
            .map { number in
                bench.job { $0.unique = UniqueRule(key: number.isMultiple(of: 2) ? "slow" : "\(number)") }
            }
        let clock = SystemClock.shared
        let start = clock.uptime
        try await withThrowingTaskGroup(of: Void.self) { group in
            for job in jobs { group.addTask { _ = try await fast.insert([job], offer: nil) } }
            try await group.waitForAll()
        }
        #expect(clock.uptime - start < .seconds(20), "they took \(clock.uptime - start)")
        #expect(isOver.withLock { !$0 }, "the slow one was answered, so nothing was tried")
        #expect(try await fast.counts().count() == 1 + Self.clients / 2)
        try await proxy.set(.pass)
        proxy.endConnections()
        #expect(await waiting.value?.code == .outcomeUnknown)
        let again = try await slow.insert([mine], offer: nil)
        guard case .duplicate? = again.first else { throw TestServerError("\(again) for a key that is taken") }
        await client.close()
        try await slow.close()
        try await fast.close()
        try await proxy.close()
    }
}
