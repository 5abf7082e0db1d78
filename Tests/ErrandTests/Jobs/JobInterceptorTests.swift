// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Interceptors around a run", .timeLimit(.minutes(3)))
struct JobInterceptorTests {
    private struct Named: JobInterceptor {
        let name: String
        let log: Recorder<String>

        func run(_ context: JobContext, next: NextRun) async throws {
            log.record("\(name) in: \(context.name) \(context.attempt)")
            do {
                try await next()
                log.record("\(name) out")
            } catch {
                log.record("\(name) out: \(error)")
                throw error
            }
        }
    }

    private struct Refusing: JobInterceptor {
        let error: any Error

        func run(_ context: JobContext, next: NextRun) async throws { throw error }
    }

    /// Turns one error into another; spells the type of the chain out, as a module with this one's settings may.
    private struct Translating: JobInterceptor {
        func run(_ context: JobContext, next: () async throws -> Void) async throws {
            do { try await next() } catch is Trouble { throw JobControl.fail(reason: "translated") }
        }
    }

    private let log = Recorder<String>()

    private func harness() -> ErrandHarness {
        var configuration = ErrandHarness.patient
        // So that the worker next looks when something is due.
        configuration.pollInterval = .hours(1)
        return ErrandHarness(configuration: configuration) { handlers, _ in
            handlers.add(Greeting.self) { [log] job, context in
                log.record("runs")
                if job.who == "nobody" { throw Trouble() }
                return "hello \(job.who)"
            }
        }
    }

    /// The job's record once its first attempt has ended.
    private func run<J: Job>(_ job: J, _ interceptors: any JobInterceptor...) async throws -> JobRecord {
        let harness = harness()
        let events = EventWait(harness.events)
        return try await harness.withWorker(harness.worker(interceptors: interceptors)) { _ in
            let handle = try await harness.client.enqueue(job)
            _ = await events.end()
            return try await handle.record(parts: .result)
        }
    }

    @Test("the first interceptor is the outermost, and the handler's result passes through")
    func order() async throws {
        let record = try await run(Greeting(who: "Ada"), Named(name: "a", log: log), Named(name: "b", log: log))
        #expect(log.values == ["a in: greeting 1", "b in: greeting 1", "runs", "b out", "a out"])
        #expect(record.state == .succeeded)
        #expect(record.result.map { String(decoding: $0.bytes, as: UTF8.self) } == #""hello Ada""#)
    }

    @Test("the handler's error passes through the interceptors, and any of them may turn it into another")
    func errors() async throws {
        let seen = try await run(Greeting(who: "nobody"), Named(name: "a", log: log))
        #expect(log.values == ["a in: greeting 1", "runs", "a out: trouble"])
        #expect(seen.state == .retrying && seen.error?.message == "trouble")
        let translated = try await run(Greeting(who: "nobody"), Translating())
        #expect(translated.state == .failed && translated.error?.message == "translated")
    }

    @Test("an interceptor that throws ends the attempt as the handler would, and the handler does not run")
    func refusal() async throws {
        let failed = try await run(Greeting(who: "Ada"), Refusing(error: Trouble()))
        #expect(failed.state == .retrying && failed.failures == 1)
        let snoozed = try await run(Greeting(who: "Ada"), Refusing(error: JobControl.snooze(for: .minutes(1))))
        #expect(snoozed.state == .scheduled && snoozed.snoozes == 1 && snoozed.attempt == 0)
        let cancelled = try await run(Greeting(who: "Ada"), Refusing(error: JobControl.cancel(reason: "closed")))
        #expect(cancelled.state == .cancelled)
        #expect(log.values.isEmpty)
    }

    @Test("interceptors see every attempt, and none of a payload that cannot be decoded")
    func attempts() async throws {
        struct Broken: Job {
            static let name: JobName = "greeting"
            let whom: Int
        }
        let harness = harness()
        let events = EventWait(harness.events)
        try await harness.withWorker(harness.worker(interceptors: [Named(name: "a", log: log)])) { _ in
            try await harness.client.enqueue(Greeting(who: "nobody"))
            #expect(await events.end() == .retrying)
            await harness.clock.waitForTimer(in: .seconds(10))
            harness.clock.advance(by: .seconds(10))
            #expect(await events.end() == .retrying)
        }
        #expect(log.values.filter { $0.hasPrefix("a in") } == ["a in: greeting 1", "a in: greeting 2"])
        #expect(try await run(Broken(whom: 1), Named(name: "b", log: log)).reason == .undecodable)
        #expect(!log.values.contains { $0.hasPrefix("b") })
    }
}
