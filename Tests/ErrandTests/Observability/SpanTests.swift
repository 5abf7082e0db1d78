// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import InMemoryTracing
import Testing
import Tracing

@Suite("Spans of jobs", .timeLimit(.minutes(3)))
struct SpanTests {
    private let tracer = InMemoryTracer()

    /// The finished spans of this name, in the order of their ends.
    private func spans(_ name: String) -> [FinishedInMemorySpan] {
        tracer.finishedSpans.filter { $0.operationName == name }
    }

    /// Enqueues within a span called `request` and runs what is due.
    private func trace(_ harness: ErrandHarness, _ job: Chore) async throws -> JobHandle<Chore> {
        try await withTracer(tracer) {
            let handle = try await withSpan("request") { _ in try await harness.client.enqueue(job) }
            try await harness.runDue()
            return handle
        }
    }

    @Test("an enqueue is a producer span in the caller's trace, and the run is a consumer span that links to it")
    func producerAndConsumer() async throws {
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in } }
        let handle = try await trace(harness, Chore(number: 1))
        let request = try #require(spans("request").first)
        let producer = try #require(spans("errand.enqueue").first)
        #expect(producer.kind == .producer)
        #expect(producer.parentSpanID == request.spanID)
        #expect(producer.attributes["errand.jobs"]?.toSpanAttribute() == .int64(1))
        #expect(producer.attributes["errand.job.name"]?.toSpanAttribute() == "chore")

        let consumer = try #require(spans("run chore").first)
        #expect(consumer.kind == .consumer)
        #expect(consumer.parentSpanID == nil && consumer.traceID != request.traceID)
        #expect(consumer.links.map(\.context.inMemorySpanContext?.spanID) == [producer.spanID])
        #expect(consumer.links.map(\.context.inMemorySpanContext?.traceID) == [request.traceID])
        #expect(consumer.attributes["errand.job.id"]?.toSpanAttribute() == .string("\(handle.id)"))
        #expect(consumer.attributes["errand.job.queue"]?.toSpanAttribute() == "default")
        #expect(consumer.attributes["errand.job.attempt"]?.toSpanAttribute() == .int64(1))
        #expect(consumer.errors.isEmpty && consumer.status == nil)
    }

    @Test("every attempt is a trace of its own with the error it ended with")
    func attempts() async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, context in if context.attempt == 1 { throw Trouble() } }
        }
        _ = try await trace(harness, Chore(number: 1))
        harness.clock.advance(by: .seconds(10))
        try await withTracer(tracer) { _ = try await harness.runDue() }
        let runs = spans("run chore")
        #expect(runs.map { $0.attributes["errand.job.attempt"]?.toSpanAttribute() } == [.int64(1), .int64(2)])
        #expect(Set(runs.map(\.traceID)).count == 2)
        #expect(runs.map { $0.errors.count } == [1, 0])
        #expect(runs.first?.errors.first?.error is Trouble)
        #expect(runs.map { $0.status?.code } == [.error, nil])
        #expect(Set(runs.map { $0.links.first?.context.inMemorySpanContext?.spanID }).count == 1)
    }

    @Test(
        "a failure that a handler asks for by name is an error of its span, a snooze or cancel is none",
        arguments: [
            (JobControl.fail(reason: "r"), 1), (.retry(after: .hours(1)), 1), (.snooze(for: .hours(1)), 0),
            (.cancel(reason: "r"), 0),
        ]
    )
    func steering(_ control: JobControl, _ errors: Int) async throws {
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in throw control } }
        _ = try await trace(harness, Chore(number: 1))
        #expect(spans("run chore").map(\.errors.count) == [errors])
    }

    @Test("what the handler does is inside its run's span")
    func inside() async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, _ in withSpan("send mail") { _ in } }
        }
        _ = try await trace(harness, Chore(number: 1))
        let run = try #require(spans("run chore").first)
        #expect(spans("send mail").map(\.parentSpanID) == [run.spanID])
    }

    @Test("many jobs of one call have one producer span; a failed write is its error")
    func many() async throws {
        let clock = ManualClock()
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        store.plan(.fail(StoreError(.closed, "open it")), for: .insert, number: 2)
        let client = JobClient(store: store, clock: clock)
        try await withTracer(tracer) {
            try await withSpan("request") { _ in
                try await client.enqueue(contentsOf: (0..<9).map(Chore.init))
                await #expect(throws: StoreError.self) { try await client.enqueue(Chore(number: 1)) }
            }
        }
        let producers = spans("errand.enqueue")
        #expect(producers.map { $0.attributes["errand.jobs"]?.toSpanAttribute() } == [.int64(9), .int64(1)])
        #expect(producers.map(\.errors.count) == [0, 1])
        let origins = try await store.enqueued(Chore.self).map { $0.record.trace[InMemoryTracer.spanIDKey] }
        #expect(origins == Array(repeating: producers[0].spanID, count: 9))
    }

    @Test("a job that was prepared in another trace keeps that, and outside of a trace there is none to keep")
    func origin() async throws {
        let harness = ErrandHarness()
        let prepared = try withTracer(tracer) {
            try withSpan("earlier") { _ in try harness.client.prepare(Chore(number: 1)) }
        }
        try await withTracer(tracer) {
            try await withSpan("later") { _ in _ = try await harness.client.enqueue(prepared: [prepared]) }
        }
        let plain = try await harness.client.enqueue(Chore(number: 2))
        let earlier = try #require(spans("earlier").first)
        let record = try #require(try await harness.client.job(prepared.id))
        #expect(record.trace[InMemoryTracer.spanIDKey] == earlier.spanID)
        #expect(try await plain.record().trace.isEmpty)
    }
}
