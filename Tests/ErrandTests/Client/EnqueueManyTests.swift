// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Enqueueing many", .timeLimit(.minutes(3)))
struct EnqueueManyTests {
    private struct Letter: Job {
        static let name: JobName = "letter"
        static let unique: Uniqueness<Self>? = .by(\.text)
        let text: String
    }

    private struct Parcel: Job {
        static let name: JobName = "parcel"
        static let unique: Uniqueness<Self>? = .by(conflict: .throwError, \.number)
        let number: Int
    }

    @Test("many jobs give a handle each, in their order, and are stored in writes of a thousand")
    func handles() async throws {
        let clock = ManualClock()
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        let harness = ErrandHarness(clock: clock, store: store)
        let handles = try await harness.client.enqueue(contentsOf: (0..<2500).map(Chore.init))
        let stored = try await store.enqueued(Chore.self)
        let numbers = Dictionary(uniqueKeysWithValues: stored.map { ($0.record.id, $0.job.number) })
        #expect(handles.map { numbers[$0.id] } == Array(0..<2500))
        #expect(handles.allSatisfy { $0.kind == .stored && !$0.wasDuplicate })
        #expect(store.calls(of: .insert) == 3)
    }

    @Test("no jobs are no write")
    func none() async throws {
        let clock = ManualClock()
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        let harness = ErrandHarness(clock: clock, store: store)
        #expect(try await harness.client.enqueue(contentsOf: [Chore]()).isEmpty)
        #expect(store.calls() == 0)
    }

    @Test("one job of many that cannot be stored is refused before any of them is stored")
    func allChecked() async throws {
        let clock = ManualClock()
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        var configuration = JobClientConfiguration()
        configuration.payloadLimit = 30
        let client = JobClient(store: store, configuration: configuration, clock: clock)
        let letters = ["short", String(repeating: "x", count: 40), "short too"].map(Letter.init)
        let error = await #expect(throws: ErrandError.self) { try await client.enqueue(contentsOf: letters) }
        #expect(error?.code == .invalidJob)
        #expect(error?.message.contains("the limit is 30") == true)
        #expect(store.calls(of: .insert) == 0)
    }

    @Test("of many, those that meet a taken key are answered with the job that has it, each in its place")
    func duplicates() async throws {
        let harness = ErrandHarness()
        let earlier = try await harness.client.enqueue(Letter(text: "b"))
        let handles = try await harness.client.enqueue(contentsOf: ["a", "b", "a", "c"].map(Letter.init))
        #expect(handles.map(\.wasDuplicate) == [false, true, true, false])
        #expect(handles[1].id == earlier.id)
        #expect(handles[2].id == handles[0].id)
        let stored = try await harness.store.enqueued(Letter.self)
        #expect(stored.map(\.job.text).sorted() == ["a", "b", "c"])
    }

    @Test("of many, one that is refused is named and the others are stored all the same")
    func refusedOne() async throws {
        let harness = ErrandHarness()
        let error = await #expect(throws: StoreError.self) {
            try await harness.client.enqueue(contentsOf: [1, 2, 1, 3].map(Parcel.init))
        }
        #expect(error?.code == .conflict)
        #expect(error?.message.contains("'parcel:1' is taken by job") == true)
        let stored = try await harness.store.enqueued(Parcel.self)
        #expect(stored.map(\.job.number).sorted() == [1, 2, 3])
    }

    @Test("one id for many jobs is refused, because all but one of them would be lost")
    func oneID() async throws {
        let harness = ErrandHarness()
        let options = EnqueueOptions(id: JobID(high: 7, low: 7))
        let error = await #expect(throws: ErrandError.self) {
            try await harness.client.enqueue(contentsOf: (0..<3).map(Chore.init), options: options)
        }
        #expect(error?.code == .invalidJob)
        #expect(error?.message.contains("leave it out or enqueue them one by one") == true)
        try await expectNotEnqueued(Chore.self, in: harness.store)
    }

    @Test("an enqueue repeated with the caller's own id is one job")
    func ownID() async throws {
        let harness = ErrandHarness()
        let options = EnqueueOptions(id: JobID(high: 7, low: 7))
        let first = try await harness.client.enqueue(Chore(number: 1), options: options)
        let second = try await harness.client.enqueue(Chore(number: 1), options: options)
        #expect(first.id == second.id)
        #expect(try await harness.store.enqueued(Chore.self).count == 1)
    }
}
