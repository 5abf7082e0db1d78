// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Logging
import Synchronization
import Testing

@Suite("What a handler is told and can say", .timeLimit(.minutes(3)))
struct HandlerContextTests {
    private let clock = ManualClock()

    /// What one attempt was told.
    private struct Facts: Equatable {
        var attempt: Int
        var run: Int
        var epoch: Int64
        var queue: QueueName
        var headers: [String: String]
        var deadline: Timestamp?
        var isCancelled: Bool
    }

    private func harness(
        _ store: (any JobStore)? = nil,
        _ handler: @escaping @Sendable (Chore, JobContext) async throws -> Void
    ) -> ErrandHarness {
        var configuration = ErrandHarness.patient
        configuration.noteInterval = .milliseconds(700)
        return ErrandHarness(clock: clock, store: store, configuration: configuration) { handlers, _ in
            handlers.add(Chore.self, handler)
        }
    }

    @Test("it knows attempt, run, epoch, queue, headers, and when it is cut off: the nearer of timeout and deadline")
    func facts() async throws {
        let told = Mutex<[Facts]>([])
        let harness = harness { _, context in
            let facts = Facts(
                attempt: context.attempt,
                run: context.run,
                epoch: context.epoch,
                queue: context.queue,
                headers: context.headers,
                deadline: context.deadline,
                isCancelled: context.cancellationReason != nil || context.isShuttingDown || Task.isCancelled
            )
            told.withLock { $0.append(facts) }
            if context.attempt < 2 && context.run == 1 { throw Trouble() }
        }
        let start = clock.now
        let options = EnqueueOptions(
            deadline: .within(.seconds(70)),
            timeout: .within(.minutes(1)),
            headers: ["tenant": "ada"]
        )
        let handle = try await harness.client.enqueue(Chore(number: 1), options: options)
        try await harness.runDue()
        clock.advance(by: .seconds(15))
        try await harness.runDue()
        try await harness.client.retry([handle.id], reason: "again")
        try await harness.runDue()
        func facts(_ attempt: Int, run: Int, epoch: Int64, _ deadline: Duration) -> Facts {
            Facts(
                attempt: attempt,
                run: run,
                epoch: epoch,
                queue: .default,
                headers: ["tenant": "ada"],
                deadline: start + deadline,
                isCancelled: false
            )
        }
        let all = told.withLock { $0 }
        #expect(all.first == facts(1, run: 1, epoch: 1, .seconds(60)), "the timeout is nearer")
        #expect(all.dropFirst().first == facts(2, run: 1, epoch: 2, .seconds(70)), "the deadline is nearer")
        #expect(all.last.map { [$0.attempt, $0.run, Int($0.epoch)] } == [1, 2, 3])
        #expect(all.count == 3)
    }

    @Test("progress and log lines are written once per interval while it runs, the last ones before it ends")
    func notes() async throws {
        let store = FaultyStore(MemoryStore(clock: clock), clock: clock)
        let (said, gate) = (Gate(), Gate())
        let harness = harness(store) { _, context in
            for page in 1...50 {
                context.progress(Double(page) / 100, "page \(page)")
                context.log("read page \(page)")
            }
            said.open()
            await gate.wait()
            context.log("done", level: .notice)
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { _ in
            let handle = try await harness.client.enqueue(Chore(number: 1))
            await said.wait()
            await clock.waitForTimer(in: .milliseconds(700))
            #expect(store.calls(of: .note) == 0)
            clock.advance(by: .milliseconds(700))
            while try await handle.record().progress == nil { await Task.yield() }
            let record = try await handle.record(parts: .log)
            #expect(record.progress?.fraction == 0.5)
            #expect(record.progress?.message == "page 50")
            #expect(record.log.map(\.message) == (1...50).map { "read page \($0)" })
            gate.open()
            #expect(await events.end() == .succeeded)
            let last = try await handle.record(parts: .log).log.last
            #expect(last?.message == "done")
            #expect(last?.level == "notice")
            #expect(store.calls(of: .note) == 2)
        }
    }

    @Test("a step that was finished is not done again when the job is tried again")
    func steps() async throws {
        let charges = Atomic(0)
        let harness = harness { _, context in
            let receipt = try await context.step("charge") {
                charges.add(1, ordering: .relaxed)
                return "receipt of attempt \(context.attempt)"
            }
            guard context.attempt == 2 else { throw Trouble() }
            #expect(receipt == "receipt of attempt 1")
        }
        let handle = try await harness.client.enqueue(Chore(number: 1))
        try await harness.runDue()
        #expect(try await handle.record(parts: .checkpoints).checkpoints.keys.sorted() == ["charge"])
        clock.advance(by: .seconds(10))
        try await harness.runDue()
        #expect(try await handle.record().state == .succeeded)
        #expect(charges.load(ordering: .relaxed) == 1)
    }

    @Test("when the time of all attempts together is over, the running one is cancelled and the job fails for that")
    func deadline() async throws {
        let clock = clock
        let harness = harness { _, _ in try await clock.sleep(for: .hours(1)) }
        let events = EventWait(harness.events)
        try await harness.withWorker { _ in
            let options = EnqueueOptions(deadline: .within(.minutes(3)), timeout: .within(.minutes(20)))
            let handle = try await harness.client.enqueue(Chore(number: 1), options: options)
            await clock.waitForTimer(in: .hours(1))
            clock.advance(by: .minutes(3))
            #expect(await events.end() == .failed)
            let record = try await handle.record(parts: .attempts)
            #expect(record.reason == .deadline)
            #expect(record.attempts.map(\.ending) == [.timedOut])
        }
    }
}
