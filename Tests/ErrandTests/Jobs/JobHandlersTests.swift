// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Registering handlers", .timeLimit(.minutes(3)))
struct JobHandlersTests {
    private struct Later: Job {
        static let name: JobName = "later"
        static let version = 3
        static let queue: QueueName = "night"
    }

    private struct Nameless: Job {
        static let name: JobName = ""
    }

    @Test("a second handler for a name stops the program where it is registered, and says which name")
    func twice() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var handlers = JobHandlers()
            handlers.add(Chore.self) { _, _ in }
            handlers.add(Chore.self) { _, _ in }
        }
        let said = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(said.contains("two handlers are registered for the job name 'chore'; keep one"))
    }

    @Test("a handler for a name that cannot be stored stops the program where it is registered")
    func nameless() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            var handlers = JobHandlers()
            handlers.add(Nameless.self) { _, _ in }
        }
        let said = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(said.contains("Nameless cannot be registered: the job name is empty"))
    }

    @Test("handlers know their names with the highest version each")
    func names() {
        var handlers = JobHandlers()
        handlers.add(Chore.self) { _, _ in }
        handlers.add(Later.self) { _, _ in }
        #expect(handlers.names == ["chore": 1, "later": 3])
    }

    @Test("a worker tells the store which names and versions it knows and serves their queues without being told")
    func queues() async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, _ in }
            handlers.add(Later.self) { _, _ in }
        }
        let handle = try await harness.client.enqueue(Later())
        try await harness.withWorker { worker in
            #expect(try await handle.finished(timeout: .minutes(1)).state == .succeeded)
            let known = try await harness.store.workers().map(\.registration)
            #expect(known.map(\.id) == [worker.id])
            #expect(known.first?.names == ["chore": 1, "later": 3])
            #expect(known.first.map { Set($0.slots.keys) } == ["default", "night"])
        }
    }
}
