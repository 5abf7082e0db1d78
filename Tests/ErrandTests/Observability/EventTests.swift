// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Events", .timeLimit(.minutes(3)))
struct EventTests {
    /// The next events of a stream as short lines.
    private func lines(_ count: Int, from stream: AsyncStream<ErrandEvent>) async -> [String] {
        var lines: [String] = []
        for await event in stream {
            lines.append(line(event))
            if lines.count == count { break }
        }
        return lines
    }

    private func line(_ event: ErrandEvent) -> String {
        switch event {
        case .enqueued(_, let name, let queue, let kind): "enqueued \(name) \(queue) \(kind)"
        case .started(_, let name, _, let attempt): "started \(name) \(attempt)"
        case .ended(_, let name, _, let state, _): "ended \(name) \(state)"
        default: "\(event)"
        }
    }

    @Test("the life of a job is told as typed events, in order")
    func life() async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, context in if context.attempt == 1 { throw Trouble() } }
        }
        let events = harness.events.events()
        let handle = try await harness.client.enqueue(Chore(number: 1))
        try await harness.runDue()
        harness.clock.advance(by: .seconds(10))
        try await harness.runDue()
        #expect(
            await lines(5, from: events) == [
                "enqueued chore default stored", "started chore 1", "ended chore retrying", "started chore 2",
                "ended chore succeeded",
            ]
        )
        #expect(try await handle.record().state == .succeeded)
    }

    @Test("an attempt's end says how it ended, with the job's id, queue and the outcome that was written")
    func outcome() async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, _ in throw JobControl.fail(reason: "no such user") }
        }
        let events = EventWait(harness.events)
        let options = EnqueueOptions(queue: .default)
        let handle = try await harness.client.enqueue(Chore(number: 1), options: options)
        try await harness.runDue()
        let ended = await events.next { event in
            if case .ended(let id, _, let queue, let state, let outcome) = event {
                (id, queue, state, outcome)
            } else {
                nil
            }
        }
        let error = StoredError(type: "JobControl.fail", message: "no such user")
        #expect(ended?.0 == handle.id && ended?.1 == .default && ended?.2 == .failed)
        #expect(ended?.3 == .failed(.permanent, error: error, timedOut: false))
    }

    @Test("an enqueue that met a taken key is told with the job that does the work, a refused one is not told")
    func duplicates() async throws {
        let harness = ErrandHarness()
        let events = EventWait(harness.events)
        func enqueue(_ conflict: UniqueRule.Conflict) async throws -> JobID {
            try await harness.client.enqueue(Chore(number: 1), options: .unique(key: "k", conflict: conflict)).id
        }
        let first = try await enqueue(.returnExisting)
        _ = try await enqueue(.returnExisting)
        await #expect(throws: StoreError.self) { try await enqueue(.throwError) }
        _ = try await enqueue(.replacePending(.all))
        for expected in [EnqueueResult.Kind.stored, .duplicate, .replaced] {
            let told = await events.next { event in
                if case .enqueued(let id, _, _, let kind) = event { EnqueueResult(id: id, kind: kind) } else { nil }
            }
            #expect(told == EnqueueResult(id: first, kind: expected))
        }
    }

    @Test("a reader that falls behind loses the oldest events, and holds nobody up")
    func slowReader() async throws {
        let harness = ErrandHarness()
        let slow = harness.events.events(buffer: 3)
        let fast = harness.events.events()
        let handles = try await harness.client.enqueue(contentsOf: (0..<10).map(Chore.init))
        func ids(_ count: Int, from stream: AsyncStream<ErrandEvent>) async -> [JobID] {
            var ids: [JobID] = []
            for await case .enqueued(let id, _, _, _) in stream {
                ids.append(id)
                if ids.count == count { break }
            }
            return ids
        }
        #expect(await ids(3, from: slow) == handles.suffix(3).map(\.id))
        #expect(await ids(10, from: fast) == handles.map(\.id))
    }

    @Test("a reader hears of what happens after it came, not of what was before")
    func lateReader() async throws {
        let harness = ErrandHarness()
        try await harness.client.enqueue(Chore(number: 1))
        let events = harness.events.events()
        try await harness.client.enqueue(Greeting(who: "Ada"))
        #expect(await lines(1, from: events) == ["enqueued greeting default stored"])
    }
}
