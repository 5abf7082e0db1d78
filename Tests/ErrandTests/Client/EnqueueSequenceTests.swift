// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Enqueueing a sequence", .timeLimit(.minutes(3)))
struct EnqueueSequenceTests {
    private struct SourceBroken: Error {}

    /// Counts what is pulled from it; breaks off with an error if told to.
    private struct Numbers: AsyncSequence, AsyncIteratorProtocol, Sendable {
        let pulled: Recorder<Int>
        let count: Int
        var breaksAfter: Int?
        var position = 0

        func makeAsyncIterator() -> Numbers { self }

        mutating func next() async throws -> Chore? {
            if position == breaksAfter { throw SourceBroken() }
            guard position < count else { return nil }
            defer { position += 1 }
            pulled.record(position)
            return Chore(number: position)
        }
    }

    private let clock = ManualClock()
    private let pulled = Recorder<Int>()

    private func client(_ store: any JobStore, batch: Int) -> JobClient {
        var configuration = JobClientConfiguration()
        configuration.batchLimit = batch
        return JobClient(store: store, configuration: configuration, clock: clock)
    }

    @Test("a sequence is pulled no faster than the store takes it")
    func backPressure() async throws {
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        store.planAlways(.delay(.seconds(1)), for: .insert)
        let client = client(store, batch: 10)
        let source = Numbers(pulled: pulled, count: 35)
        let enqueueing = Task { try await client.enqueue(from: source) }
        for write in 1...4 {
            // The store holds this write until the clock moves, and nothing more is pulled meanwhile.
            await clock.waitForTimer(in: .seconds(1))
            #expect(pulled.values.count == min(write * 10, 35))
            #expect(try await store.enqueued(Chore.self).count == (write - 1) * 10)
            clock.advance(by: .seconds(1))
        }
        #expect(try await enqueueing.value == 35)
        #expect(store.calls(of: .insert) == 4)
        #expect(Set(try await store.enqueued(Chore.self).map(\.job.number)) == Set(0..<35))
    }

    @Test("each stored job's handle is given in order, duplicates too")
    func handles() async throws {
        let store = MemoryStore(clock: clock)
        let client = client(store, batch: 4)
        let options = EnqueueOptions.unique(key: "one")
        var handles: [JobHandle<Chore>] = []
        let count = try await client.enqueue(from: Numbers(pulled: pulled, count: 6), options: options) { handle in
            handles.append(handle)
        }
        #expect(count == 6)
        #expect(handles.map(\.wasDuplicate) == [false, true, true, true, true, true])
        #expect(Set(handles.map(\.id)).count == 1)
        #expect(try await store.enqueued(Chore.self).map(\.job.number) == [0])
    }

    @Test("an error of the sequence ends the call; what was written before stays")
    func brokenSource() async throws {
        let store = MemoryStore(clock: clock)
        let client = client(store, batch: 4)
        await #expect(throws: SourceBroken.self) {
            try await client.enqueue(from: Numbers(pulled: pulled, count: 20, breaksAfter: 10))
        }
        #expect(Set(try await store.enqueued(Chore.self).map(\.job.number)) == Set(0..<8))
    }

    @Test("an error of the store ends the call and the sequence is pulled no further")
    func brokenStore() async throws {
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        store.plan(.fail(StoreError(.incompatible, "the schema is newer; update this build")), for: .insert, number: 2)
        let client = client(store, batch: 4)
        let error = await #expect(throws: StoreError.self) {
            try await client.enqueue(from: Numbers(pulled: pulled, count: 20))
        }
        #expect(error?.code == .incompatible)
        #expect(pulled.values.count == 8)
        #expect(try await store.enqueued(Chore.self).count == 4)
    }

    @Test("an empty sequence is no write, and an id for a sequence is refused before it is pulled")
    func edges() async throws {
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        let client = client(store, batch: 4)
        #expect(try await client.enqueue(from: Numbers(pulled: pulled, count: 0)) == 0)
        let error = await #expect(throws: ErrandError.self) {
            let options = EnqueueOptions(id: JobID(high: 1, low: 1))
            try await client.enqueue(from: Numbers(pulled: pulled, count: 3), options: options)
        }
        #expect(error?.code == .invalidJob)
        #expect(pulled.values.isEmpty)
        #expect(store.calls() == 0)
    }
}
