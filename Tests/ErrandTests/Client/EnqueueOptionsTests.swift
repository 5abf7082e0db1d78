// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation
import Testing

@Suite("Options of an enqueue", .timeLimit(.minutes(3)))
struct EnqueueOptionsTests {
    private struct Export: Job {
        static let name: JobName = "export"
        static let queue: QueueName = "slow"
        static let priority: JobPriority = .low
        static let retry = RetryPolicy.attempts(2)
        static let timeout: Duration? = .minutes(3)
        static let startWithin: Duration? = .hours(1)
        static let deadline: Duration? = .hours(2)
        static let crashesAllowed = 0
        static let resultTTL: Duration = .minutes(9)
        static let unique: Uniqueness<Self>? = .payload()
        let month: String
    }

    private static let clockStart = ManualClock().now

    @Test("every option of an enqueue is in the record")
    func given() async throws {
        let harness = ErrandHarness()
        let options = EnqueueOptions(
            id: JobID(high: 3, low: 4),
            queue: "mail",
            priority: .urgent,
            start: .after(.seconds(30)),
            startWithin: .within(.minutes(2)),
            deadline: .within(.hours(1)),
            timeout: .within(.seconds(45)),
            retry: .attempts(7, backoff: .fixed(.seconds(9))),
            unique: UniqueRule(key: "chore:1", scope: .forTTL(.hours(3)), conflict: .throwError),
            tags: ["red", "blue"],
            headers: ["tenant": "t7"],
            resultTTL: .minutes(5)
        )
        let handle = try await harness.client.enqueue(Chore(number: 1), options: options)
        let record = try await handle.record()
        let now = harness.clock.now
        #expect(record.id == JobID(high: 3, low: 4))
        #expect(record.queue == "mail")
        #expect(record.priority == .urgent)
        #expect(record.state == .scheduled)
        #expect(record.runAt == now + .seconds(30))
        #expect(record.startBy == now + .minutes(2))
        #expect(record.deadline == now + .hours(1))
        #expect(record.timeout == .seconds(45))
        #expect(record.retry == .attempts(7, backoff: .fixed(.seconds(9))))
        #expect(record.unique == UniqueRule(key: "chore:1", scope: .forTTL(.hours(3)), conflict: .throwError))
        #expect(record.tags == ["red", "blue"])
        #expect(record.headers == ["tenant": "t7"])
        #expect(record.resultTTL == .minutes(5))
    }

    @Test("what an enqueue leaves out is the job type's")
    func ofTheType() async throws {
        let harness = ErrandHarness()
        let record = try await harness.client.enqueue(Export(month: "May")).record()
        let now = harness.clock.now
        #expect(record.queue == "slow")
        #expect(record.priority == .low)
        #expect(record.retry == .attempts(2))
        #expect(record.timeout == .minutes(3))
        #expect(record.startBy == now + .hours(1))
        #expect(record.deadline == now + .hours(2))
        #expect(record.crashesAllowed == 0)
        #expect(record.resultTTL == .minutes(9))
        #expect(record.unique?.key == #"export:{"month":"May"}"#)
    }

    @Test("a limit of the job type can be lifted for one enqueue")
    func lifted() async throws {
        let harness = ErrandHarness()
        let options = EnqueueOptions(startWithin: .unlimited, deadline: .unlimited, timeout: .unlimited)
        let record = try await harness.client.enqueue(Export(month: "May"), options: options).record()
        #expect(record.startBy == nil)
        #expect(record.deadline == nil)
        #expect(record.timeout == nil)
    }

    @Test(
        "a job with a delay or an instant to start at runs then and not before",
        arguments: [
            NewJob.Start.after(.seconds(30)), .at(clockStart + .seconds(30)),
            .on(Date(timeIntervalSince1970: clockStart.date.timeIntervalSince1970 + 30)),
        ]
    )
    func start(_ start: NewJob.Start) async throws {
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in } }
        let handle = try await harness.client.enqueue(Chore(number: 1), options: EnqueueOptions(start: start))
        #expect(try await handle.record().state == .scheduled)
        harness.clock.advance(by: .seconds(30) - .microseconds(1))
        #expect(try await harness.runDue().isEmpty)
        harness.clock.advance(by: .microseconds(1))
        #expect(try await harness.runDue() == [handle.id])
    }

    @Test("an instant in the past means now", arguments: [NewJob.Start.at(.epoch), .after(.seconds(-5)), .now])
    func past(_ start: NewJob.Start) async throws {
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in } }
        let handle = try await harness.client.enqueue(Chore(number: 1), options: EnqueueOptions(start: start))
        #expect(try await handle.record().runAt == harness.clock.now)
        #expect(try await harness.runDue() == [handle.id])
    }

    @Test("the handler sees the headers, and jobs of higher priority run sooner")
    func seen() async throws {
        let ran = Recorder<String>()
        var configuration = ErrandHarness.patient
        configuration.concurrency = 1
        let harness = ErrandHarness(configuration: configuration) { handlers, _ in
            handlers.add(Chore.self) { _, context in ran.record(context.headers["from"] ?? "nobody") }
        }
        for (from, priority) in [("a", JobPriority.low), ("b", .normal), ("c", .urgent), ("d", .high)] {
            let options = EnqueueOptions(priority: priority, headers: ["from": from])
            try await harness.client.enqueue(Chore(number: 1), options: options)
        }
        try await harness.runDue()
        #expect(ran.values == ["c", "d", "b", "a"])
    }

    @Test("a job that was not started in time is expired and never runs")
    func late() async throws {
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in } }
        let options = EnqueueOptions(startWithin: .within(.minutes(2)))
        let handle = try await harness.client.enqueue(Chore(number: 1), options: options)
        harness.clock.advance(by: .minutes(2))
        #expect(try await harness.runDue().isEmpty)
        #expect(try await handle.record().state == .expired)
    }
}
