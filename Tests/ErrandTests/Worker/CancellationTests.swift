// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

@Suite("Cancelling", .timeLimit(.minutes(3)))
struct CancellationTests {
    @Test("a pending job is cancelled at once and never starts")
    func pending() async throws {
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in } }
        let handle = try await harness.client.enqueue(Chore(number: 1))
        let report = try await handle.cancel(reason: "changed my mind")
        #expect(report.changed == [handle.id])
        #expect(try await harness.runDue().isEmpty)
        #expect(try await handle.record().state == .cancelled)
        #expect(try await handle.cancel(reason: "again").changed.isEmpty, "cancelling twice is harmless")
    }

    @Test("a running job hears of it with the reason, its task is cancelled and the job ends cancelled")
    func running() async throws {
        let heard = Mutex<CancellationReason?>(nil)
        let clock = ManualClock()
        let harness = ErrandHarness(clock: clock) { handlers, _ in
            handlers.add(Chore.self) { _, context in
                defer { heard.withLock { $0 = context.cancellationReason } }
                try await clock.sleep(for: .hours(1))
            }
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { _ in
            let handle = try await harness.client.enqueue(Chore(number: 1))
            _ = await events.start()
            try await harness.client.cancel([handle.id], reason: "too expensive", actor: "ada")
            #expect(await events.end() == .cancelled)
            #expect(heard.withLock { $0 } == .cancelled(by: "ada", reason: "too expensive"))
            #expect(try await handle.record().cancelRequest?.actor == "ada")
        }
    }

    @Test("all jobs of a filter are cancelled, those stored later are not")
    func filter() async throws {
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in } }
        let old = try await harness.client.enqueue(contentsOf: (0..<1500).map(Chore.init))
        harness.clock.advance(by: .seconds(1))
        let report = try await harness.client.cancel(
            matching: JobFilter(states: [.ready], names: [Chore.name]),
            reason: "wrong batch"
        )
        #expect(Set(report.changed) == Set(old.map(\.id)))
        let later = try await harness.client.enqueue(Chore(number: 7))
        #expect(try await harness.runDue() == [later.id])
    }

    @Test("a handler that ignores its cancellation loses its slot after the grace; its late result is refused")
    func abandoned() async throws {
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        var configuration = ErrandHarness.patient
        configuration.concurrency = 1
        let clock = ManualClock()
        let harness = ErrandHarness(clock: clock, configuration: configuration) { handlers, _ in
            handlers.add(Greeting.self) { _, _ in
                // A detached wait does not hear of the cancellation of this task.
                await Task.detached { for await _ in gate { break } }.value
                return "too late"
            }
            handlers.add(Chore.self) { _, _ in }
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { worker in
            let stubborn = try await harness.client.enqueue(Greeting(who: "x"))
            _ = await events.start()
            let next = try await harness.client.enqueue(Chore(number: 2))
            try await stubborn.cancel(reason: "enough")
            await clock.waitForTimer(in: .seconds(10))
            clock.advance(by: .seconds(10))
            #expect(await events.next { if case .abandoned(let id, _) = $0 { id } else { nil } } == stubborn.id)
            #expect(await events.end() == .cancelled)
            #expect(try await next.finished(timeout: .seconds(60)).state == .succeeded, "the slot is free again")
            #expect(worker.health.zombies == 1)
            open.yield()
            while worker.health.zombies == 1 { await Task.yield() }
            let record = try await stubborn.record(parts: .result)
            #expect(record.state == .cancelled)
            #expect(record.reason == .abandoned)
            #expect(record.result == nil)
        }
    }

    @Test("a handler that lost its lease and ignores that loses its slot after the grace, too")
    func leaseLost() async throws {
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let clock = ManualClock()
        let harness = ErrandHarness(clock: clock) { handlers, _ in
            handlers.add(Chore.self) { _, _ in await Task.detached { for await _ in gate { break } }.value }
        }
        let events = EventWait(harness.events)
        let worker = harness.worker()
        let running = Task { try await worker.run() }
        let handle = try await harness.client.enqueue(Chore(number: 1))
        _ = await events.start()
        // Somebody else takes its jobs away.
        try await harness.store.retire(worker.id)
        // Beats, maintenance, the fence, claims and the limit of the attempt.
        await clock.waitForTimers(atLeast: 5)
        clock.advance(by: .seconds(5))
        await clock.waitForTimer(in: .seconds(10))
        clock.advance(by: .seconds(10))
        let abandoned = await events.next { if case .abandoned(let id, _) = $0 { id } else { nil } }
        #expect(abandoned == handle.id)
        #expect(worker.health.zombies == 1)
        open.finish()
        running.cancel()
        try await running.value
    }

    @Test("a handler that never suspends hears of its cancellation by the task's flag and by checkLease")
    func flags() async throws {
        let gate = ThreadGate()
        let threw = Mutex<[String]>([])
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, context in
                #expect(!Task.isCancelled)
                try context.checkLease()
                gate.wait()
                #expect(Task.isCancelled)
                do {
                    try context.checkLease()
                } catch {
                    threw.withLock { $0.append("\(type(of: error))") }
                    throw error
                }
            }
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { _ in
            let handle = try await harness.client.enqueue(Chore(number: 1))
            await gate.waitUntilHeld()
            try await handle.cancel(reason: "enough")
            // The worker hears of it by a beat; the thread that is held is none of those that beat.
            await harness.clock.waitForTimer(in: .seconds(10))
            gate.open()
            #expect(await events.end() == .cancelled)
            #expect(threw.withLock { $0 } == ["CancellationError"])
        }
    }
}
