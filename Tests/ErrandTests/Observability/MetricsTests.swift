// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Errand
import ErrandTesting
import MetricsTestKit
import Testing

@Suite("Metrics of jobs", .timeLimit(.minutes(3)))
struct MetricsTests {
    private let metrics = TestMetrics()
    private let clock = ManualClock()

    /// Metrics are bound when a client or worker is made.
    private func make(
        _ configuration: WorkerConfiguration = ErrandHarness.patient,
        register: (inout JobHandlers, JobClient) -> Void
    ) -> (ErrandHarness, Worker) {
        withMetricsFactory(metrics) {
            let harness = ErrandHarness(clock: clock, configuration: configuration, register: register)
            return (harness, harness.worker())
        }
    }

    private func labels(_ name: String, _ outcome: String, queue: String = "default") -> [(String, String)] {
        [("queue", queue), ("name", name), ("outcome", outcome)]
    }

    @Test("enqueues are counted by queue, name and what they came to")
    func enqueued() async throws {
        let (harness, _) = make { _, _ in }
        let options = EnqueueOptions(queue: "mail", unique: UniqueRule(key: "k"))
        for number in 0..<3 { try await harness.client.enqueue(Chore(number: number), options: options) }
        try await harness.client.enqueue(contentsOf: (0..<5).map(Chore.init))
        let label = "errand_jobs_enqueued"
        #expect(try metrics.expectCounter(label, labels("chore", "stored", queue: "mail")).totalValue == 1)
        #expect(try metrics.expectCounter(label, labels("chore", "duplicate", queue: "mail")).totalValue == 2)
        #expect(try metrics.expectCounter(label, labels("chore", "stored")).totalValue == 5)
    }

    @Test(
        "attempts are counted and timed by how they ended, and the wait before them is timed",
        arguments: [
            (nil, "succeeded"), (Trouble(), "retried"), (JobControl.fail(reason: "r"), "permanent"),
            (JobControl.snooze(for: .hours(1)), "snoozed"), (JobControl.cancel(reason: "r"), "cancelled"),
        ] as [((any Error)?, String)]
    )
    func attempts(_ error: (any Error)?, _ outcome: String) async throws {
        let (harness, worker) = make { handlers, _ in
            handlers.add(Chore.self) { [clock] _, _ in
                clock.advance(by: .seconds(2))
                if let error { throw error }
            }
        }
        let events = EventWait(harness.events)
        try await harness.client.enqueue(Chore(number: 1))
        clock.advance(by: .seconds(5))
        try await harness.withWorker(worker) { _ in _ = await events.end() }
        let seconds: Int64 = 1_000_000_000
        #expect(try metrics.expectTimer("errand_job_wait", labels("chore", "started")).values == [5 * seconds])
        #expect(try metrics.expectCounter("errand_attempts", labels("chore", outcome)).totalValue == 1)
        let duration = try metrics.expectTimer("errand_attempt_duration", labels("chore", outcome))
        #expect(duration.values == [2 * seconds])
        #expect(metrics.counters(label: "errand_attempts").count == 1)
    }

    @Test("depth and age of the oldest ready job are sampled by queue, claims and beats are timed")
    func levels() async throws {
        var configuration = ErrandHarness.patient
        // Timers of 5 s are beats and of 7 s maintenance, so that the test can wait for each.
        configuration.maintenanceInterval = .seconds(7)
        configuration.pollInterval = .hours(1)
        let (harness, worker) = make(configuration) { handlers, _ in handlers.add(Chore.self) { _, _ in } }
        try await harness.client.pause(.everything, reason: "to have some")
        try await harness.client.enqueue(contentsOf: (0..<3).map(Chore.init))
        try await harness.client.enqueue(Chore(number: 4), options: .delay(.hours(1)))
        try await harness.withWorker(worker) { _ in
            await clock.waitForTimer(in: .seconds(5))
            await clock.waitForTimer(in: .seconds(7))
            clock.advance(by: .seconds(5))
            await clock.waitForTimer(in: .seconds(5))
            clock.advance(by: .seconds(2))
            await clock.waitForTimer(in: .seconds(7))
        }
        for (state, depth) in [("ready", 3.0), ("scheduled", 1), ("running", 0), ("retrying", 0), ("waiting", 0)] {
            #expect(try metrics.expectGauge("errand_queue_depth", labels("all", state)).lastValue == depth)
        }
        let queue = [("queue", "default"), ("name", "all")]
        #expect(try metrics.expectGauge("errand_queue_oldest_ready_seconds", queue).lastValue == 7)
        let all = [("queue", "all"), ("name", "all")]
        #expect(try metrics.expectGauge("errand_beat_age_seconds", all).values.isEmpty == false)
        #expect(try metrics.expectTimer("errand_claim_duration", labels("all", "ok", queue: "all")).values.first == 0)
    }

    @Test("an attempt whose lease is lost is counted")
    func leaseLost() async throws {
        let gate = Gate()
        let (harness, worker) = make { handlers, _ in handlers.add(Chore.self) { _, _ in await gate.wait() } }
        let events = EventWait(harness.events)
        try await harness.withWorker(worker) { _ in
            let handle = try await harness.client.enqueue(Chore(number: 1))
            _ = await events.start()
            clock.advance(by: .milliseconds(1))
            let report = try await harness.store.maintain(.rescue(silence: .zero))
            #expect(report.rescued == [handle.id: .ready])
            gate.open()
            #expect(await events.next { if case .leaseLost(let id, _) = $0 { id } else { nil } } == handle.id)
        }
        #expect(try metrics.expectCounter("errand_leases_lost", labels("chore", "lost")).totalValue == 1)
    }

    @Test("a handler that ignores its cancellation is counted as abandoned and as a zombie until it ends")
    func zombies() async throws {
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let (harness, worker) = make { handlers, _ in
            handlers.add(Chore.self) { _, _ in await Task.detached { for await _ in gate { break } }.value }
        }
        let events = EventWait(harness.events)
        let level = [("queue", "all"), ("name", "all")]
        try await harness.withWorker(worker) { worker in
            let handle = try await harness.client.enqueue(Chore(number: 1))
            _ = await events.start()
            try await handle.cancel(reason: "enough")
            await clock.waitForTimer(in: .seconds(10))
            clock.advance(by: .seconds(10))
            _ = await events.end()
            #expect(try metrics.expectGauge("errand_zombies", level).lastValue == 1)
            open.yield()
            while try metrics.expectGauge("errand_zombies", level).lastValue != 0 { await Task.yield() }
            #expect(worker.health.zombies == 0)
        }
        #expect(try metrics.expectCounter("errand_attempts_abandoned", labels("chore", "abandoned")).totalValue == 1)
        #expect(try metrics.expectCounter("errand_attempts", labels("chore", "abandoned")).totalValue == 1)
    }

    @Test("more than 200 job names share one label, so that data cannot grow the metrics system")
    func names() async throws {
        let (harness, _) = make { _, _ in }
        let jobs = try (0..<250)
            .map { number in
                var job = try harness.client.prepare(Chore(number: number))
                job.name = JobName("chore-\(number)")
                return job
            }
        _ = try await harness.client.enqueue(prepared: jobs)
        #expect(metrics.counters(label: "errand_jobs_enqueued").count == 201)
        #expect(try metrics.expectCounter("errand_jobs_enqueued", labels("other", "stored")).totalValue == 50)
    }
}
