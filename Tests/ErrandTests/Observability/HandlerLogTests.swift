// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import InMemoryLogging
import Logging
import Testing

@Suite("Logs of handlers", .timeLimit(.minutes(3)))
struct HandlerLogTests {
    private let logs = InMemoryLogHandler()

    private func worker(_ harness: ErrandHarness) -> Worker {
        var logger = Logger(label: "test") { [logs] _ in logs }
        logger[metadataKey: "service"] = "shop"
        return Worker(
            store: harness.store,
            handlers: harness.handlers,
            configuration: harness.configuration,
            events: harness.events,
            logger: logger,
            clock: harness.clock,
            chance: harness.client.chance
        )
    }

    @Test("a handler's logger carries the job's id, name, queue and attempt and the worker, also where none is passed")
    func metadata() async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, context in
                context.logger.info("given")
                Logger.current.info("current")
                context.log("said about the job")
            }
        }
        let worker = worker(harness)
        let handle = try await harness.client.enqueue(Chore(number: 1))
        try await harness.withWorker(worker) { _ in _ = try await handle.finished(timeout: .minutes(1)) }
        for message in ["given", "current", "said about the job"] as [Logger.Message] {
            let entry = try #require(logs.entries.first { $0.message == message })
            #expect(
                entry.metadata == [
                    "job.id": "\(handle.id)", "job.name": "chore", "job.queue": "default", "job.attempt": "1",
                    "worker.id": "\(worker.id)", "service": "shop",
                ]
            )
        }
        #expect(try await handle.record(parts: .log).log.map(\.message) == ["said about the job"])
    }

    @Test("a job that failed for good is one error in the log, with what it is and why")
    func failed() async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, context in
                context.logger.notice("attempt")
                throw Trouble()
            }
        }
        let worker = worker(harness)
        let options = EnqueueOptions(retry: .attempts(2, backoff: .none))
        let handle = try await harness.client.enqueue(Chore(number: 1), options: options)
        try await harness.withWorker(worker) { _ in _ = try await handle.finished(timeout: .minutes(1)) }
        let attempts = logs.entries.filter { $0.message == "attempt" }.map { $0.metadata["job.attempt"] }
        #expect(attempts == ["1", "2"])
        let errors = logs.entries.filter { $0.level >= .error }
        #expect(errors.map(\.message) == ["a job failed for good"])
        let metadata = try #require(errors.first?.metadata)
        #expect(metadata["job.id"] == "\(handle.id)")
        #expect(metadata["job.name"] == "chore")
        #expect(metadata["job.outcome"] == "exhausted")
        #expect(metadata["error"] == "ErrandTests.Trouble: trouble")
    }
}
