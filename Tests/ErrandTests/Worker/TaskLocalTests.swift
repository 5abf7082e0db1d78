// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("What a handler inherits", .timeLimit(.minutes(3)))
struct TaskLocalTests {
    @TaskLocal static var request: String?

    @Test("a handler has nothing of the task that enqueued its job, however it was claimed", arguments: [true, false])
    func enqueuer(isOffered: Bool) async throws {
        let seen = Recorder<String?>()
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, _ in seen.record(Self.request) }
        }
        let events = EventWait(harness.events)
        func enqueue() async throws {
            try await Self.$request.withValue("GET /") { _ = try await harness.client.enqueue(Chore(number: 1)) }
        }
        if !isOffered { try await enqueue() }
        try await harness.withWorker { worker in
            while !worker.health.isReady { await Task.yield() }
            if isOffered { try await enqueue() }
            _ = await events.end()
        }
        #expect(seen.values == [nil])
    }
}
