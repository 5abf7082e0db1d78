// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Enqueueing while the store is in trouble", .timeLimit(.minutes(3)))
struct StoreTroubleTests {
    private let clock = ManualClock()
    private let store: FaultyStore

    init() {
        store = FaultyStore(MemoryStore(clock: clock), clock: clock)
    }

    private func client(retryFor: Duration) -> JobClient {
        var configuration = JobClientConfiguration()
        configuration.retryFor = retryFor
        return JobClient(store: store, configuration: configuration, clock: clock)
    }

    @Test("64 concurrent callers share a few writes and each gets its own answer")
    func shared() async throws {
        let arrived = Recorder<Int>()
        struct Counting: EnqueueInterceptor {
            let arrived: Recorder<Int>

            func enqueue(_ jobs: [NewJob], next: NextWrite) async throws -> [EnqueueResult] {
                arrived.record(jobs.count)
                return try await next(jobs)
            }
        }
        store.planAlways(.delay(.seconds(1)), for: .insert)
        let client = JobClient(store: store, interceptors: [Counting(arrived: arrived)], clock: clock)
        let time = Task { [clock] in
            while arrived.values.count < 64 { await Task.yield() }
            // Between its arrival and the queue nothing suspends a caller, so this is time enough.
            for _ in 0..<1000 { await Task.yield() }
            while !Task.isCancelled {
                await clock.waitForTimers(atLeast: 1)
                clock.advance(by: .seconds(1))
            }
        }
        try await withThrowingTaskGroup(of: (Int, JobID).self) { group in
            for number in 0..<64 {
                group.addTask { (number, try await client.enqueue(Chore(number: number)).id) }
            }
            let ids = try await group.reduce(into: [:]) { $0[$1.1] = $1.0 }
            let stored = try await store.enqueued(Chore.self)
            #expect(Dictionary(uniqueKeysWithValues: stored.map { ($0.record.id, $0.job.number) }) == ids)
            #expect(ids.count == 64)
        }
        time.cancel()
        #expect((2...6).contains(store.calls(of: .insert)), "\(store.calls(of: .insert)) writes")
    }

    @Test(
        "a short outage is outlasted, and the job is stored once",
        arguments: [.unavailable, .loseAnswer] as [FaultyStore.Fault]
    )
    func outlasted(_ fault: FaultyStore.Fault) async throws {
        store.plan(fault, for: .insert, numbers: 1...2)
        let client = client(retryFor: .seconds(5))
        let enqueueing = Task { try await client.enqueue(Chore(number: 1)) }
        await clock.waitForTimer(in: .milliseconds(50))
        clock.advance(by: .milliseconds(50))
        await clock.waitForTimer(in: .milliseconds(100))
        clock.advance(by: .milliseconds(100))
        let handle = try await enqueueing.value
        #expect(handle.kind == .stored)
        #expect(try await store.enqueued(Chore.self).map(\.record.id) == [handle.id])
        #expect(store.calls(of: .insert) == 3)
    }

    @Test("an outage longer than the client's patience is an error with the store's code")
    func patience() async throws {
        store.planAlways(.unavailable, for: .insert)
        let client = client(retryFor: .milliseconds(200))
        let enqueueing = Task { try await client.enqueue(Chore(number: 1)) }
        for wait in [50, 100] {
            await clock.waitForTimer(in: .milliseconds(wait))
            clock.advance(by: .milliseconds(wait))
        }
        let error = await #expect(throws: StoreError.self) { try await enqueueing.value }
        #expect(error?.code == .unavailable)
        #expect(store.calls(of: .insert) == 3)
        store.heal()
        #expect(try await client.counts().rows.isEmpty)
        #expect(try await client.enqueue(Chore(number: 2)).kind == .stored, "the next one finds nothing in its way")
    }

    @Test(
        "trouble that waiting does not help is an error at once, with its code and what to do",
        arguments: StoreError.Code.allCases.filter { !StoreError($0, "").isTransient }
    )
    func atOnce(_ code: StoreError.Code) async throws {
        store.planAlways(.fail(StoreError(code, "do this next")), for: .insert)
        let error = await #expect(throws: StoreError.self) {
            try await client(retryFor: .hours(1)).enqueue(Chore(number: 1))
        }
        #expect(error == StoreError(code, "do this next"))
        #expect(store.calls(of: .insert) == 1)
        #expect(clock.timerCount == 0)
    }

    @Test("a write that is tried again goes on although the caller that leads it is cancelled")
    func cancelledLeader() async throws {
        store.plan(.unavailable, for: .insert, number: 1)
        let client = client(retryFor: .seconds(5))
        let enqueueing = Task { try await client.enqueue(Chore(number: 1)) }
        await clock.waitForTimer(in: .milliseconds(50))
        enqueueing.cancel()
        clock.advance(by: .milliseconds(50))
        let handle = try await enqueueing.value
        #expect(try await store.enqueued(Chore.self).map(\.record.id) == [handle.id])
    }

    @Test("reading, changing and pausing surface the store's error as it is", arguments: 0..<6)
    func everyRoad(_ road: Int) async throws {
        let client = client(retryFor: .zero)
        let handle = try await client.enqueue(Chore(number: 1))
        store.planAlways(.unavailable)
        let error = await #expect(throws: StoreError.self) {
            switch road {
            case 0: _ = try await client.job(handle.id)
            case 1: _ = try await client.jobs()
            case 2: _ = try await client.cancel([handle.id], reason: "r")
            case 3: try await client.pause(.everything, reason: "r")
            case 4: _ = try await handle.finished(timeout: .hours(1))
            default: _ = try await client.cancel(matching: JobFilter(), reason: "r")
            }
        }
        #expect(error?.code == .unavailable)
    }
}
