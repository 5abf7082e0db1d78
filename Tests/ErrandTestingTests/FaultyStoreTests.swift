// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import ErrandTesting
import Testing

@Suite("A faulty store fails as planned")
struct FaultyStoreTests {
    let clock = ManualClock()
    let inner: MemoryStore
    let store: FaultyStore

    init() {
        inner = MemoryStore(clock: clock)
        store = FaultyStore(inner, clock: clock)
    }

    func job(_ seed: UInt64) -> NewJob {
        var generator = SeededGenerator(seed: seed)
        return NewJob(id: JobID(at: clock.now, using: &generator), name: "mail", payload: Payload(bytes: []))
    }

    @Test("without a plan every call reaches the store inside and is counted")
    func passesThrough() async throws {
        let new = job(1)
        #expect(try await store.insert([new], offer: nil) == [.stored(new.id)])
        #expect(try await store.jobs([new.id], parts: []).count == 1)
        #expect(store.calls(of: .insert) == 1)
        #expect(store.calls(of: .claim) == 0)
        #expect(store.calls() == 2)
    }

    @Test("a call that fails has no effect, the others are as ever")
    func fails() async throws {
        store.plan(.unavailable, for: .insert, number: 2)
        _ = try await store.insert([job(1)], offer: nil)
        await #expect(throws: StoreError.self) { try await store.insert([job(2)], offer: nil) }
        _ = try await store.insert([job(3)], offer: nil)
        #expect(try await inner.counts().count() == 2)
    }

    @Test("a lost answer is an unknown outcome of a write that happened")
    func losesAnswer() async throws {
        store.plan(.loseAnswer, for: nil, number: 1)
        let error = await #expect(throws: StoreError.self) { try await store.insert([job(1)], offer: nil) }
        #expect(error?.code == .outcomeUnknown)
        #expect(try await inner.counts().count() == 1)
    }

    @Test("a call that is carried out twice answers the second time")
    func repeats() async throws {
        let registration = WorkerRegistration(
            id: try #require(WorkerID("00000000-0000-7000-8000-000000000001")),
            host: "here",
            pid: 1,
            version: "1",
            names: ["mail": 1],
            slots: [.default: 1]
        )
        _ = try await store.register(registration)
        _ = try await store.insert([job(1)], offer: nil)
        let request = ClaimRequest(
            worker: registration.id,
            names: ["mail": 1],
            queues: [.init(name: .default, slots: 1)],
            limit: 1
        )
        let lease = try #require(try await store.claim(request).jobs.first).lease
        store.plan(.twice, for: .settle, number: 1)
        let settlement = Settlement(lease: lease, outcome: .succeeded(result: nil))
        #expect(try await store.settle([settlement]) == [.leaseLost])
        #expect(try await inner.counts().count(.succeeded) == 1)
    }

    @Test("a late call waits on the clock", .timeLimit(.minutes(3)))
    func delays() async throws {
        store.plan(.delay(.seconds(30)), for: .insert, number: 1)
        let (store, new) = (store, job(1))
        async let answer = store.insert([new], offer: nil)
        await clock.waitForTimer(in: .seconds(30))
        #expect(try await inner.counts().count() == 0)
        clock.advance(by: .seconds(30))
        #expect(try await answer == [.stored(new.id)])
    }

    @Test("an outage lasts until it is healed")
    func outage() async throws {
        store.planAlways(.unavailable)
        for _ in 0..<3 { await #expect(throws: StoreError.self) { try await store.counts() } }
        store.heal()
        _ = try await store.counts()
        #expect(store.calls(of: .counts) == 4)
    }

    @Test("failing each call in turn, repeats lose and double nothing", arguments: [true, false])
    func eachCallOnce(before: Bool) async throws {
        let fault: FaultyStore.Fault = before ? .unavailable : .loseAnswer
        for number in 1...4 {
            let inner = MemoryStore(clock: clock)
            let store = FaultyStore(inner, clock: clock)
            store.plan(fault, for: nil, number: number)
            for seed in 1...4 as ClosedRange<UInt64> {
                let new = job(seed)
                do {
                    _ = try await store.insert([new], offer: nil)
                } catch let error as StoreError where error.isTransient {
                    #expect(try await store.insert([new], offer: nil) == [.stored(new.id)])
                }
            }
            #expect(try await inner.counts().count(.ready) == 4)
        }
    }
}
