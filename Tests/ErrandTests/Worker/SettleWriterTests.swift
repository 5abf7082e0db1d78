// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Logging
import Testing

@testable import Errand

@Suite("Writing the ends of attempts", .timeLimit(.minutes(3)))
struct SettleWriterTests {
    private let clock = ManualClock()
    private let store: FaultyStore
    private let writer: SettleWriter
    private let chance = Chance(SeededGenerator(seed: 3))

    init() {
        store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        writer = SettleWriter(
            store: store,
            clock: clock,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            mustExit: { false }
        )
    }

    /// Settlements of this many jobs that run.
    private func running(_ count: Int) async throws -> [Settlement] {
        let worker = chance.workerID(at: clock.now)
        let registration = WorkerRegistration(
            id: worker,
            host: "here",
            pid: 1,
            version: "1",
            names: ["chore": 1],
            slots: [.default: count]
        )
        _ = try await store.register(registration)
        let jobs = (0..<count)
            .map { _ in NewJob(id: chance.jobID(at: clock.now), name: "chore", payload: Payload(bytes: [])) }
        _ = try await store.insert(jobs, offer: nil)
        let claim = ClaimRequest(
            worker: worker,
            names: ["chore": 1],
            queues: [.init(name: .default, slots: count)],
            limit: count
        )
        return try await store.claim(claim).jobs
            .map { Settlement(lease: $0.lease, outcome: .succeeded(result: nil)) }
    }

    private func state(_ settlement: Settlement) async throws -> JobState? {
        try await store.jobs([settlement.lease.job], parts: []).first?.state
    }

    @Test("one settlement that cannot be stored fails alone; the others of its batch are written")
    func poison() async throws {
        let settlements = try await running(3)
        let refusal = StoreError(.invalid, "cannot be stored")
        store.plan(.fail(refusal), for: .settle, number: 1)
        store.plan(.fail(refusal), for: .settle, number: 3)
        let results = await writer.write(settlements)
        guard case .applied(.succeeded) = results[0], case .failed(let error) = results[1],
            case .applied(.succeeded) = results[2]
        else {
            Issue.record("\(results)")
            return
        }
        #expect(error.code == .invalid)
        #expect(try await state(settlements[0]) == .succeeded)
        #expect(try await state(settlements[1]) == .running)
    }

    @Test("a settlement that held although its answer was lost is presumed, not called lost")
    func presumed() async throws {
        let settlements = try await running(1)
        store.plan(.loseAnswer, for: .settle, number: 1)
        async let results = writer.write(settlements)
        await clock.waitForTimer(in: .milliseconds(100))
        clock.advance(by: .milliseconds(100))
        guard case .presumed = await results[0] else {
            Issue.record("\(await results)")
            return
        }
        #expect(try await state(settlements[0]) == .succeeded)
    }

    @Test("an outage is waited for, also by a cancelled task, with growing waits")
    func outage() async throws {
        let settlements = try await running(1)
        store.planAlways(.unavailable, for: .settle)
        let task = Task { await writer.write(settlements) }
        task.cancel()
        for wait: Duration in [.milliseconds(100), .milliseconds(200), .milliseconds(400)] {
            await clock.waitForTimer(in: wait)
            clock.advance(by: wait)
        }
        await clock.waitForTimer(in: .milliseconds(800))
        #expect(store.calls(of: .settle) == 4, "one try per wait")
        store.heal()
        clock.advance(by: .milliseconds(800))
        guard case .applied(.succeeded) = await task.value[0] else {
            Issue.record("not settled")
            return
        }
    }
}
