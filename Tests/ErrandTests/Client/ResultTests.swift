// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Awaiting a result", .timeLimit(.minutes(3)))
struct ResultTests {
    private struct Sum: Codable, Sendable, Equatable {
        var total: Int
        var parts: [String: Double]
        var note: String?
    }

    private struct Adding: Job {
        typealias Output = Sum
        static let name: JobName = "adding"
        let numbers: [Int]
    }

    private let clock = ManualClock()

    private func harness() -> ErrandHarness {
        ErrandHarness(clock: clock) { handlers, _ in
            handlers.add(Adding.self) { job, _ in Sum(total: job.numbers.reduce(0, +), parts: ["half": 0.5]) }
            handlers.add(Greeting.self) { _, _ in throw Trouble() }
        }
    }

    /// A client that wakes for signals and its timeout only.
    private func client(_ harness: ErrandHarness) -> JobClient {
        var configuration = JobClientConfiguration()
        configuration.pollInterval = .days(1)
        return JobClient(store: harness.store, configuration: configuration, clock: clock)
    }

    @Test("a result of any Codable type comes back as it was returned, for any holder of the id")
    func typed() async throws {
        let harness = harness()
        let id = try await harness.client.enqueue(Adding(numbers: [1, 2, 39])).id
        try await harness.runDue()
        let handle = JobHandle<Adding>(id: id, client: harness.client)
        #expect(try await handle.result(timeout: .zero) == Sum(total: 42, parts: ["half": 0.5]))
    }

    @Test("a wait that runs into its timeout says so and the job goes on")
    func timeout() async throws {
        let harness = harness()
        let handle = try await client(harness).enqueue(Adding(numbers: [1]))
        let waiting = Task { try await handle.result(timeout: .seconds(30)) }
        await clock.waitForTimer(in: .seconds(30))
        clock.advance(by: .seconds(30))
        let error = await #expect(throws: ErrandError.self) { try await waiting.value }
        #expect(error?.code == .timedOut)
        #expect(error?.message == "job \(handle.id) is still ready after 30.0 s")
        try await harness.runDue()
        #expect(try await handle.result(timeout: .zero).total == 1)
    }

    @Test("a job that failed for good throws its last error and the reason")
    func failed() async throws {
        let harness = harness()
        let handle = try await harness.client.enqueue(
            Greeting(who: "Ada"),
            options: EnqueueOptions(retry: RetryPolicy.none)
        )
        try await harness.runDue()
        let failure = await #expect(throws: JobFailure.self) { try await handle.result(timeout: .zero) }
        #expect(failure?.id == handle.id)
        #expect(failure?.state == .failed)
        #expect(failure?.reason == .exhausted)
        #expect(failure?.error?.message == "trouble")
        #expect(failure?.description == "job \(handle.id) is failed (exhausted): ErrandTests.Trouble: trouble")
    }

    @Test("whoever waits for a job that is cancelled hears of it at once")
    func cancelled() async throws {
        let harness = harness()
        let handle = try await client(harness).enqueue(Adding(numbers: [1]))
        let waiting = Task { try await handle.result(timeout: .hours(1)) }
        await clock.waitForTimer(in: .hours(1))
        try await handle.cancel(reason: "changed my mind")
        let failure = await #expect(throws: JobFailure.self) { try await waiting.value }
        #expect(failure?.state == .cancelled)
        #expect(failure?.error == nil)
        #expect(clock.timerCount == 0)
    }

    @Test("after its TTL a result is gone, and the error says what to raise")
    func expired() async throws {
        let harness = harness()
        let short = EnqueueOptions(resultTTL: .minutes(5))
        let handle = try await harness.client.enqueue(Adding(numbers: [1]), options: short)
        let unkept = try await harness.client.enqueue(Adding(numbers: [2]), options: EnqueueOptions(resultTTL: .zero))
        try await harness.runDue()
        clock.advance(by: .minutes(5) - .microseconds(1))
        #expect(try await handle.result(timeout: .zero).total == 1)
        clock.advance(by: .microseconds(1))
        for handle in [handle, unkept] {
            let error = await #expect(throws: ErrandError.self) { try await handle.result(timeout: .zero) }
            #expect(error?.code == .resultGone)
            #expect(error?.message.hasSuffix("raise its resultTTL") == true)
            #expect(try await handle.record().state == .succeeded)
        }
    }

    @Test("a wait looks by itself now and then, because a signal may be lost")
    func poll() async throws {
        let harness = harness()
        let handle = try await harness.client.enqueue(Adding(numbers: [1]))
        let waiting = Task { try await handle.finished(timeout: .hours(1)) }
        await clock.waitForTimer(in: .seconds(1))
        // A deleted job never ends, so nothing is signalled.
        try await harness.client.delete([handle.id], reason: "tidy")
        clock.advance(by: .seconds(1))
        let error = await #expect(throws: ErrandError.self) { try await waiting.value }
        #expect(error?.code == .jobNotFound)
    }

    @Test("a caller that is cancelled stops waiting at once and leaves no timer behind")
    func abandonedWait() async throws {
        let harness = harness()
        let handle = try await client(harness).enqueue(Adding(numbers: [1]))
        let waiting = Task { try await handle.result(timeout: .hours(1)) }
        await clock.waitForTimer(in: .hours(1))
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        #expect(clock.timerCount == 0)
        #expect(try await handle.record().state == .ready)
    }
}
