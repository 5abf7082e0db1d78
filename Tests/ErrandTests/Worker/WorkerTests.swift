// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

struct Greeting: Job {
    typealias Output = String
    static let name: JobName = "greeting"
    static let retry = RetryPolicy.attempts(3, backoff: .fixed(.seconds(10)))
    let who: String
}

struct Chore: Job {
    static let name: JobName = "chore"
    static let retry = RetryPolicy.attempts(3, backoff: .fixed(.seconds(10)))
    let number: Int
}

struct Trouble: Error, CustomStringConvertible {
    var description: String { "trouble" }
}

@Suite("A worker runs jobs", .timeLimit(.minutes(3)))
struct WorkerTests {
    @Test("an enqueued job is run once and its typed result can be awaited")
    func result() async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Greeting.self) { job, context in "hello \(job.who), attempt \(context.attempt)" }
        }
        try await harness.withWorker { _ in
            let handle = try await harness.client.enqueue(Greeting(who: "Ada"))
            #expect(try await handle.result(timeout: .seconds(30)) == "hello Ada, attempt 1")
            let record = try await handle.record(parts: .all)
            #expect(record.state == .succeeded)
            #expect(record.attempts.isEmpty, "a success at the first try writes no history")
        }
    }

    @Test("many jobs with few slots: each runs once, never more at a time than there are slots")
    func slots() async throws {
        let running = Mutex((now: 0, most: 0, runs: [Int: Int]()))
        var configuration = WorkerConfiguration.jobsOnly
        configuration.concurrency = 4
        let harness = ErrandHarness(configuration: configuration) { handlers, _ in
            handlers.add(Chore.self) { job, _ in
                running.withLock { state in
                    state.now += 1
                    state.most = max(state.most, state.now)
                    state.runs[job.number, default: 0] += 1
                }
                await Task.yield()
                running.withLock { $0.now -= 1 }
            }
        }
        try await harness.client.enqueue(contentsOf: (0..<2000).map(Chore.init))
        let ended = try await harness.runDue()
        #expect(ended.count == 2000)
        let (now, most, runs) = running.withLock { $0 }
        #expect(now == 0)
        #expect(most <= 4)
        #expect(runs.count == 2000)
        #expect(runs.values.allSatisfy { $0 == 1 })
    }

    @Test("a failing job is tried again after the policy's wait and fails for good when attempts are used up")
    func retries() async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, _ in throw Trouble() }
        }
        let handle = try await harness.client.enqueue(Chore(number: 1))
        for attempt in 1...3 {
            #expect(try await harness.runDue().count == 1)
            let record = try await handle.record(parts: .all)
            #expect(record.failures == attempt)
            #expect(record.attempts.map(\.number) == Array(1...attempt))
            #expect(record.error?.message == "trouble")
            #expect(record.state == (attempt < 3 ? .retrying : .failed))
            if attempt < 3 { #expect(record.runAt == harness.clock.now + .seconds(10)) }
            #expect(try await harness.runDue().isEmpty, "not before its time")
            harness.clock.advance(by: .seconds(10))
        }
        let record = try await handle.record()
        #expect(record.reason == .exhausted)
        #expect(record.fingerprint != nil)
    }

    @Test(
        "a handler steers the end of its attempt by what it throws",
        arguments: [
            (JobControl.snooze(for: .minutes(5)), JobState.scheduled, 0, 0, 1),
            (.retry(after: .minutes(7)), .retrying, 1, 1, 0),
            (.fail(reason: "no such user"), .failed, 1, 1, 0),
            (.cancel(reason: "not needed"), .cancelled, 1, 0, 0),
        ]
    )
    func steering(_ control: JobControl, _ state: JobState, attempt: Int, failures: Int, snoozes: Int) async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, _ in throw control }
        }
        let handle = try await harness.client.enqueue(Chore(number: 1))
        try await harness.runDue()
        let record = try await handle.record(parts: .attempts)
        #expect(record.state == state)
        #expect(record.attempt == attempt)
        #expect(record.failures == failures)
        #expect(record.snoozes == snoozes)
        #expect(record.attempts.count == 1)
    }

    @Test(
        "an error that knows when to try again is believed",
        arguments: [
            (RetryAdvice.after(.minutes(3)), JobState.retrying), (.never, .failed), (.policy, .retrying),
        ]
    )
    func hint(_ advice: RetryAdvice, _ state: JobState) async throws {
        struct TooMany: RetryHint { let retryAdvice: RetryAdvice }
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, _ in throw TooMany(retryAdvice: advice) }
        }
        let handle = try await harness.client.enqueue(Chore(number: 1))
        try await harness.runDue()
        let record = try await handle.record()
        #expect(record.state == state)
        if advice == .after(.minutes(3)) { #expect(record.runAt == harness.clock.now + .minutes(3)) }
    }

    @Test("an undecodable payload fails without using an attempt and runs after a fix")
    func undecodable() async throws {
        struct Old: Job {
            static let name: JobName = "chore"
            let text: String
        }
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in } }
        let handle = try await harness.client.enqueue(Old(text: "x"))
        try await harness.runDue()
        var record = try await handle.record(parts: .all)
        #expect(record.state == .failed)
        #expect(record.reason == .undecodable)
        #expect(record.attempt == 0)
        #expect(record.failures == 0)
        #expect(String(decoding: record.payload.bytes, as: UTF8.self) == #"{"text":"x"}"#)
        let report = try await harness.client.retry(handle.id, with: Chore(number: 5), reason: "fixed")
        #expect(report.changed == [handle.id])
        try await harness.runDue()
        record = try await handle.record()
        #expect(record.state == .succeeded)
        #expect(record.run == 2)
    }

    @Test("jobs of unknown names and newer versions stay ready, and the alarm is raised once")
    func unknownNames() async throws {
        struct Later: Job {
            static let name: JobName = "chore"
            static let version = 2
            let number: Int
        }
        var configuration = ErrandHarness.patient
        // Only maintenance has a timer of 5 s, so that the test can wait for it.
        configuration.beatInterval = .hours(1)
        configuration.pollInterval = .hours(1)
        configuration.idlePollInterval = .hours(1)
        let harness = ErrandHarness(configuration: configuration) { handlers, _ in
            handlers.add(Chore.self) { _, _ in }
        }
        let unknown = try await harness.client.enqueue(Greeting(who: "nobody"))
        let newer = try await harness.client.enqueue(Later(number: 1))
        let events = EventWait(harness.events)
        try await harness.withWorker { _ in
            // Maintenance looks every 5 s, and for orphans in every twelfth round.
            for _ in 0...12 {
                await harness.clock.waitForTimer(in: .seconds(5))
                harness.clock.advance(by: .seconds(5))
            }
            let orphans = await events.next { if case .orphaned(let orphans) = $0 { orphans } else { nil } }
            #expect(Set(orphans?.map(\.name) ?? []) == ["greeting", "chore"])
            let states = try await [unknown.record().state, newer.record().state]
            #expect(states == [.ready, .ready])
        }
    }

    @Test("an attempt that runs longer than its timeout is cancelled and counted as a failure")
    func timeout() async throws {
        let reason = Mutex<CancellationReason?>(nil)
        let clock = ManualClock()
        let harness = ErrandHarness(clock: clock) { handlers, _ in
            handlers.add(Chore.self) { _, context in
                defer { reason.withLock { $0 = context.cancellationReason } }
                try await clock.sleep(for: .hours(1))
            }
        }
        let events = EventWait(harness.events)
        try await harness.withWorker { _ in
            let handle = try await harness.client.enqueue(
                Chore(number: 1),
                options: EnqueueOptions(timeout: .within(.minutes(2)))
            )
            #expect(await events.start() == 1)
            await clock.waitForTimer(in: .hours(1))
            clock.advance(by: .minutes(2))
            #expect(await events.end() == .retrying)
            let record = try await handle.record(parts: .attempts)
            #expect(record.attempts.map(\.ending) == [.timedOut])
            #expect(record.failures == 1)
            #expect(reason.withLock { $0 } == .timeout)
        }
    }

    @Test("a result that is too large fails the job for good and says what to do")
    func largeResult() async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Greeting.self) { _, _ in String(repeating: "x", count: 300_000) }
        }
        let handle = try await harness.client.enqueue(Greeting(who: "x"))
        try await harness.runDue()
        let record = try await handle.record(parts: .attempts)
        #expect(record.state == .failed)
        #expect(record.attempt == 1)
        #expect(record.error?.message.contains("store it elsewhere and return where it is") == true)
    }
}
