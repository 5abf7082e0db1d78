// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Foundation
import Synchronization
import Testing

@testable import Errand

/// The acceptance tests of schedules that need no second process, by their numbers.
@Suite("Schedules keep their promises", .timeLimit(.minutes(5)))
struct SchedulePromiseTests {
    private let clock = ManualClock()
    private let busy = SchedulePolicy.with { $0.overlap = .allow(max: 1000) }

    private func row(_ rows: [TickRecord], _ id: ScheduleID) -> [Timestamp] {
        rows.filter { $0.schedule == id && $0.decision == .enqueued }.map(\.nominal).sorted()
    }

    /// Everything that is kept of a schedule.
    private func kept(_ id: ScheduleID, in store: any JobStore) async throws -> [TickRecord] {
        let span = Timestamp(microseconds: .min)...Timestamp(microseconds: .max)
        return try await store.ticks(TickRequest(id, .span(span, after: nil), limit: 100_000))
    }

    @Test("1: of eight schedulers with schedules of every second each tick has one row and one job")
    func many() async throws {
        let environment = ProcessInfo.processInfo.environment
        let seconds = environment["SCHEDULE_SECONDS"].flatMap { Int($0) } ?? 20
        let count = environment["SCHEDULE_COUNT"].flatMap { Int($0) } ?? 50
        let store = MemoryStore(clock: clock)
        let crowd = (1...8).map { ScheduleHarness(clock: clock, store: store, seed: $0) }
        for number in 0..<count {
            try await crowd[0].scheduler
                .put(ScheduleID("s\(number)"), .cron("* * * * * *"), policy: busy, job: Chore(number: number))
        }
        for _ in 0..<seconds {
            clock.advance(by: .seconds(1))
            await withTaskGroup(of: Void.self) { group in
                for one in crowd { group.addTask { _ = await one.scheduler.round() } }
            }
            // Ended jobs keep the lists of unfinished ones short.
            try await crowd[0].finishJobs()
        }
        for number in 0..<count {
            let rows = try await kept(ScheduleID("s\(number)"), in: store)
            #expect(rows.count == seconds)
            #expect(Set(rows.map(\.nominal)).count == seconds)
            #expect(rows.allSatisfy { $0.decision == .enqueued && $0.key == .tick($0.nominal) })
        }
        #expect(try await store.counts().count(name: Chore.name) == seconds * count)
    }

    @Test("4: a store that is away at the tick decides it when it is back, by the policy")
    func outage() async throws {
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        let harness = ScheduleHarness(clock: clock, store: store)
        try await harness.scheduler.put("minutely", .cron("* * * * *"), policy: busy, job: Chore(number: 1))
        let first = await harness.advance(by: .seconds(90))
        #expect(first.map(\.kind) == [.regular])
        store.planAlways(.unavailable)
        let away = await harness.advance(by: .minutes(3))
        #expect(away.isEmpty)
        store.heal()
        let back = await harness.advance(by: .seconds(5))
        // Minutes 2 to 4 were missed; the newest is not yet a minute old.
        #expect(back.map(\.decision) == [.coalesced, .enqueued])
        #expect(back.map(\.count) == [2, 1])
        let later = await harness.advance(by: .minutes(2))
        #expect(later.map(\.decision) == [.enqueued, .enqueued])
    }

    @Test("5: with a fault before or after every single call each tick still has one decision and one job")
    func faults() async throws {
        func scenario(_ plan: (FaultyStore) -> Void) async throws -> (calls: Int, rows: [TickRecord], jobs: Int) {
            let clock = ManualClock()
            let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
            plan(store)
            let crowd = (1...2).map { ScheduleHarness(clock: clock, store: store, seed: $0) }
            var isThere = false
            while !isThere {
                do {
                    try await crowd[0].scheduler.put("s", .every(.seconds(10)), policy: busy, job: Chore(number: 1))
                    isThere = true
                } catch is StoreError {}
            }
            for _ in 0..<4 {
                for one in crowd { await one.advance(by: .seconds(5)) }
            }
            for one in crowd { await one.advance(by: .seconds(2)) }
            store.heal()
            let calls = store.calls()
            return (calls, try await kept("s", in: store), try await store.counts().count(name: Chore.name))
        }
        let clean = try await scenario { _ in }
        #expect(clean.rows.count == 4)
        for number in 1...clean.calls {
            for fault in [FaultyStore.Fault.unavailable, .loseAnswer] {
                let (_, rows, jobs) = try await scenario { $0.plan(fault, for: nil, number: number) }
                #expect(rows.map(\.nominal) == clean.rows.map(\.nominal), "call \(number)")
                #expect(jobs == 4, "call \(number)")
            }
        }
    }

    @Test("6: a host whose clock is wrong by ten minutes changes nothing")
    func skew() async throws {
        for skew in [Duration.minutes(-10), .minutes(10)] {
            let store = MemoryStore(clock: clock)
            let start = clock.now
            let harness = ScheduleHarness(clock: ManualClock(startingAt: clock.now + skew), store: store)
            try await harness.scheduler.put("s", .cron("* * * * *"), policy: busy, job: Chore(number: 1))
            for _ in 0..<180 {
                clock.advance(by: .seconds(1))
                harness.clock.advance(by: .seconds(1))
                _ = await harness.scheduler.round()
            }
            let rows = try await kept("s", in: store)
            #expect(rows.map(\.nominal).sorted() == (1...3).map { start + .minutes($0) })
        }
    }

    @Test("7: a store whose clock is two years ahead for ten seconds decides nothing of them and is on time again")
    func jump() async throws {
        let host = ManualClock()
        let store = MemoryStore(clock: clock)
        let harness = ScheduleHarness(clock: host, store: store)
        try await harness.scheduler.put("s", .cron("* * * * *"), policy: busy, job: Chore(number: 1))
        let start = clock.now
        func pass(_ seconds: Int) async {
            for _ in 0..<seconds {
                clock.advance(by: .seconds(1))
                host.advance(by: .seconds(1))
                _ = await harness.scheduler.round()
            }
        }
        await pass(65)
        clock.stepWallClock(by: .days(730))
        await pass(10)
        clock.stepWallClock(by: .days(-730))
        await pass(60)
        let rows = try await kept("s", in: store)
        #expect(rows.map(\.nominal).sorted() == [start + .minutes(1), start + .minutes(2)])
        // When it stays, it is believed after a minute, and the policy decides.
        clock.stepWallClock(by: .days(730))
        await pass(59)
        #expect(try await kept("s", in: store).count == 2)
        await pass(62)
        let later = try await kept("s", in: store).filter { $0.nominal > start + .minutes(2) }
        #expect(later.contains { $0.decision == .coalesced && $0.count > 90_000 })
        #expect(later.filter { $0.decision == .enqueued }.allSatisfy { $0.nominal > start + .days(730) })
        // A clock that was believed and is set back: what was decided stays decided.
        let before = try await kept("s", in: store)
        clock.stepWallClock(by: .days(-730))
        await pass(125)
        let after = try await kept("s", in: store)
        #expect(Set(after.map(\.key)).count == after.count)
        #expect(after.count - before.count >= 2, "on time again")
    }

    @Test(
        "8: the nights of clock changes in Berlin through a whole day",
        arguments: [
            ("2026-03-29", [1, 23, 0]), ("2026-10-25", [1, 25, 8]),
        ]
    )
    func nights(date: String, counts: [Int]) async throws {
        let zone = try #require(TimeZone(identifier: "Europe/Berlin"))
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        let parts = date.split(separator: "-").compactMap { Int($0) }
        let midnight = try #require(
            calendar.date(from: DateComponents(year: parts[0], month: parts[1], day: parts[2]))
        )
        let next = try #require(calendar.date(byAdding: .day, value: 1, to: midnight))
        let clock = ManualClock(startingAt: Timestamp(midnight) - .milliseconds(1))
        let harness = ScheduleHarness(clock: clock)
        let rules = ["30 2 * * *", "0 * * * *", "*/15 2 * * *"]
        for (number, rule) in rules.enumerated() {
            let id = ScheduleID("s\(number)")
            try await harness.scheduler.put(id, .cron(rule, in: "Europe/Berlin"), policy: busy, job: Chore(number: 1))
        }
        // One millisecond before the next midnight.
        let day = Duration.seconds(next.timeIntervalSince(midnight))
        let rows = await harness.advance(by: day)
        #expect((0..<3).map { row(rows, ScheduleID("s\($0)")).count } == counts)
    }

    @Test("11: a job whose tick was jittered runs once although the schedule is edited before it is ready")
    func editWithJitter() async throws {
        let harness = ScheduleHarness(clock: clock)
        let jittered = SchedulePolicy.with { ($0.jitter, $0.overlap) = (.minutes(20), .allow(max: 9)) }
        try await harness.scheduler.put("s", .cron("0 * * * *"), policy: jittered, job: Chore(number: 1))
        let first = await harness.advance(by: .hours(1))
        let job = try #require(first.first?.job)
        #expect(try await harness.store.jobs([job], parts: []).first?.state == .scheduled)
        try await harness.scheduler.put("s", .cron("30 * * * *"), policy: jittered, job: Chore(number: 2))
        let second = await harness.advance(by: .minutes(45))
        #expect(second.map(\.nominal) == [first[0].nominal + .minutes(30)])
        #expect(try await harness.store.counts().count(name: Chore.name) == 2)
        // An edit at the very tick decides it by the old rule first.
        clock.advance(by: .minutes(45))
        try await harness.scheduler.put("s", .cron("45 * * * *"), policy: jittered, job: Chore(number: 3))
        #expect(try await harness.store.counts().count(name: Chore.name) == 3)
        let decided = await harness.advance(by: .minutes(14))
        #expect(decided.map(\.nominal) == [first[0].nominal + .minutes(90)], "and nothing of the past by the new rule")
    }

    @Test("18: of a hundred schedules one that cannot be decided is broken with a reason and keeps no other waiting")
    func poison() async throws {
        struct Poison: Error {}
        let cure = Cure()
        let set = try ScheduleSet(build: .monotonic(1)) {
            for number in 0..<99 {
                ScheduleDefinition(
                    ScheduleID("s\(number)"),
                    .cron("* * * * *"),
                    policy: busy,
                    job: Chore(number: number)
                )
            }
            ScheduleDefinition("poison", .cron("* * * * *"), policy: busy) { _ in
                guard cure.isGiven else { throw Poison() }
                return Chore(number: 0)
            }
        }
        let harness = ScheduleHarness(set, clock: clock)
        try await harness.start()
        let rows = await harness.advance(by: .minutes(3) + .seconds(1))
        #expect(Set(rows.filter { $0.decision == .enqueued }.map(\.schedule)).count == 99)
        #expect(rows.count == 3 * 99)
        #expect(rows.allSatisfy { $0.kind == .regular })
        let status = try #require(try await harness.scheduler.status(of: "poison"))
        #expect(status.record.state == .broken)
        #expect(status.record.reason?.contains("Poison") == true)
        #expect(status.record.failures > 3 && status.record.failures < 20)
        #expect(status.lag >= .minutes(2))
        cure.give()
        let cured = await harness.advance(by: .minutes(5)).filter { $0.schedule == "poison" }
        #expect(cured.map(\.decision).prefix(2) == [.coalesced, .enqueued])
        #expect(try await harness.scheduler.status(of: "poison")?.record.state == .active)
    }

    private final class Cure: Sendable {
        private let given = Mutex(false)
        var isGiven: Bool { given.withLock { $0 } }
        func give() { given.withLock { $0 = true } }
    }

    @Test("19: an interval with jitter for a thousand ticks has nominal times exactly sixty seconds apart")
    func noDrift() async throws {
        let harness = ScheduleHarness(clock: clock)
        let policy = SchedulePolicy.with { ($0.jitter, $0.overlap) = (.seconds(10), .allow(max: 1000)) }
        try await harness.scheduler.put("s", .every(.seconds(60)), policy: policy, job: Chore(number: 1))
        var nominals: [Timestamp] = []
        for _ in 0..<10 {
            nominals += await harness.advance(by: .seconds(6000)).map(\.nominal)
            try await harness.finishJobs()
        }
        #expect(nominals.count == 1000)
        #expect(zip(nominals, nominals.dropFirst()).allSatisfy { $1 - $0 == .seconds(60) })
    }

    @Test("22: two schedules of one job type keep their own cursors")
    func twins() async throws {
        let harness = ScheduleHarness(clock: clock)
        try await harness.scheduler.put("a", .every(.seconds(60)), policy: busy, job: Chore(number: 1))
        try await harness.scheduler.put("b", .every(.seconds(90)), policy: busy, job: Chore(number: 1))
        let rows = await harness.advance(by: .seconds(180))
        #expect(row(rows, "a").count == 3)
        #expect(row(rows, "b").count == 2)
    }
}
