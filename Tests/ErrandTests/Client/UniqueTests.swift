// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Unique jobs", .timeLimit(.minutes(3)))
struct UniqueTests {
    private struct Report: Job {
        static let name: JobName = "report"
        static let unique: Uniqueness<Self>? = .by(\.day)
        let day: String
        let pages: Int
    }

    private struct Invoice: Job {
        static let name: JobName = "invoice"
        static let unique: Uniqueness<Self>? = .payload()
        let customer: Int
        let month: String
    }

    @Test("a taken key answers with the job that has it, until that job is done")
    func existing() async throws {
        let harness = ErrandHarness { handlers, _ in handlers.add(Report.self) { _, _ in } }
        let first = try await harness.client.enqueue(Report(day: "Monday", pages: 1))
        let second = try await harness.client.enqueue(Report(day: "Monday", pages: 2))
        let other = try await harness.client.enqueue(Report(day: "Tuesday", pages: 3))
        #expect(!first.wasDuplicate && second.wasDuplicate && !other.wasDuplicate)
        #expect(second.id == first.id)
        #expect(try await harness.store.enqueued(Report.self).map(\.job.pages).sorted() == [1, 3])
        try await harness.runDue()
        let third = try await harness.client.enqueue(Report(day: "Monday", pages: 4))
        #expect(third.id != first.id)
        #expect(!third.wasDuplicate)
    }

    @Test("jobs with equal fields are the same job, and one that differs in a field is another")
    func payload() async throws {
        let harness = ErrandHarness()
        let first = try await harness.client.enqueue(Invoice(customer: 1, month: "May"))
        #expect(try await harness.client.enqueue(Invoice(customer: 1, month: "May")).id == first.id)
        #expect(try await harness.client.enqueue(Invoice(customer: 1, month: "June")).kind == .stored)
    }

    @Test("an enqueue that may not meet a taken key throws and stores nothing")
    func refused() async throws {
        let harness = ErrandHarness()
        let first = try await harness.client.enqueue(Report(day: "Monday", pages: 1))
        let error = await #expect(throws: StoreError.self) {
            try await harness.client.enqueue(
                Report(day: "Monday", pages: 2),
                options: .unique(key: "report:Monday", conflict: .throwError)
            )
        }
        #expect(error?.code == .conflict)
        #expect(
            error?.message
                == "the unique key 'report:Monday' is taken by job \(first.id); wait for it or change the key"
        )
        #expect(try await harness.store.enqueued(Report.self).map(\.job.pages) == [1])
    }

    @Test("a key with a TTL is taken for its time, also after the job is done and deleted")
    func timed() async throws {
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in } }
        let options = EnqueueOptions.unique(key: "request-17", scope: .forTTL(.hours(1)))
        let first = try await harness.client.enqueue(Chore(number: 1), options: options)
        try await harness.runDue()
        #expect(try await harness.client.enqueue(Chore(number: 2), options: options).id == first.id)
        #expect(try await harness.client.delete([first.id], reason: "tidy").changed == [first.id])
        harness.clock.advance(by: .hours(1) - .microseconds(1))
        let late = try await harness.client.enqueue(Chore(number: 3), options: options)
        #expect(late.id == first.id && late.wasDuplicate)
        let error = await #expect(throws: ErrandError.self) { try await late.record() }
        #expect(error?.code == .jobNotFound)
        harness.clock.advance(by: .microseconds(1))
        let next = try await harness.client.enqueue(Chore(number: 4), options: options)
        #expect(next.kind == .stored)
        #expect(try await harness.store.enqueued(Chore.self).map(\.job.number) == [4])
    }

    @Test("a key until the start is free as soon as the job runs")
    func untilStart() async throws {
        let gate = Gate()
        let harness = ErrandHarness { handlers, _ in handlers.add(Chore.self) { _, _ in await gate.wait() } }
        let options = EnqueueOptions.unique(key: "k", scope: .untilStart)
        let events = EventWait(harness.events)
        let first = try await harness.client.enqueue(Chore(number: 1), options: options)
        #expect(try await harness.client.enqueue(Chore(number: 2), options: options).id == first.id)
        try await harness.withWorker { _ in
            _ = await events.start()
            let second = try await harness.client.enqueue(Chore(number: 3), options: options)
            #expect(second.kind == .stored)
            gate.open()
            #expect(try await second.finished(timeout: .minutes(1)).state == .succeeded)
        }
    }
}
