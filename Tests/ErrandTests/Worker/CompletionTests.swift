// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

@Suite("A handler that ends its job itself", .timeLimit(.minutes(3)))
struct CompletionTests {
    /// A transaction whose writes are kept until it commits.
    private final class Transaction: StoreTransaction, Sendable {
        private let settlements = Mutex<[Settlement]>([])

        func insert(_ jobs: [NewJob], into store: any JobStore) throws -> [InsertAnswer] {
            jobs.map { .stored($0.id) }
        }

        func settle(_ settlement: Settlement, in store: any JobStore) throws -> SettleAnswer {
            settlements.withLock { $0.append(settlement) }
            return .applied(.succeeded)
        }

        func note(_ note: LeaseNote, in store: any JobStore) throws -> Bool { true }

        func commit(to store: any JobStore) async throws {
            let answers = try await store.settle(settlements.withLock { $0 })
            #expect(answers == [.applied(.succeeded)])
        }
    }

    @Test("what it completed in its own transaction has succeeded, once, with result and follow-ups")
    func completes() async throws {
        let store = MemoryStore(clock: ManualClock())
        let harness = ErrandHarness(store: store) { handlers, client in
            handlers.add(Greeting.self) { job, context in
                let transaction = Transaction()
                let next = try client.prepare(Chore(number: 7))
                try context.complete("by hand", in: transaction, followUps: [next])
                try await transaction.commit(to: store)
                return "not this"
            }
            handlers.add(Chore.self) { _, _ in }
        }
        let handle = try await harness.client.enqueue(Greeting(who: "x"))
        let ended = try await harness.runDue()
        #expect(ended.count == 2, "the job and what followed it")
        #expect(ended.contains(handle.id))
        #expect(try await handle.result(timeout: .seconds(1)) == "by hand")
        #expect(try await harness.client.count(JobFilter(states: [.succeeded])).value == 2)
    }

    @Test("a transaction that rolls back is a failure like any other, and the job is tried again")
    func rollsBack() async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { _, context in
                try context.complete(in: Transaction())
                throw Trouble()
            }
        }
        let handle = try await harness.client.enqueue(Chore(number: 1))
        try await harness.runDue()
        let record = try await handle.record()
        #expect(record.state == .retrying)
        #expect(record.failures == 1)
    }
}
