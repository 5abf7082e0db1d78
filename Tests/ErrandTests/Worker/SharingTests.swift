// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

@Suite("Sharing a worker's slots", .timeLimit(.minutes(3)))
struct SharingTests {
    /// Queue and number of each started job, in the order of the starts.
    private final class Starts: Sendable {
        private let list = Mutex<[QueueName]>([])

        func add(_ queue: QueueName) { list.withLock { $0.append(queue) } }

        var queues: [QueueName] { list.withLock { $0 } }
    }

    private func harness(_ starts: Starts, _ change: (inout WorkerConfiguration) -> Void) -> ErrandHarness {
        var configuration = ErrandHarness.patient
        configuration.concurrency = 1
        change(&configuration)
        return ErrandHarness(configuration: configuration) { handlers, _ in
            handlers.add(Chore.self) { _, context in starts.add(context.queue) }
        }
    }

    @Test("with weights 3 and 1 three of four starts are the first queue's, at every length of the line")
    func weights() async throws {
        let starts = Starts()
        let harness = harness(starts) { $0.queues = ["a": .init(weight: 3), "b": .init(weight: 1)] }
        for queue: QueueName in ["b", "a"] {
            try await harness.client.enqueue(contentsOf: (0..<60).map(Chore.init), options: .init(queue: queue))
        }
        #expect(try await harness.runDue().count == 120)
        // While both have work, each four starts are three and one.
        for length in stride(from: 4, through: 80, by: 4) {
            #expect(starts.queues.prefix(length).count(where: { $0 == "a" }) == length * 3 / 4)
        }
        #expect(starts.queues.suffix(40).allSatisfy { $0 == "b" }, "what is left is not held back")
    }

    @Test("in strict order the second queue starts only when the first has nothing left, wherever its name sorts")
    func strict() async throws {
        let starts = Starts()
        let harness = harness(starts) { $0.strictOrder = ["z", "a"] }
        for queue: QueueName in ["a", "z"] {
            try await harness.client.enqueue(contentsOf: (0..<20).map(Chore.init), options: .init(queue: queue))
        }
        #expect(try await harness.runDue().count == 40)
        #expect(starts.queues == Array(repeating: "z", count: 20) + Array(repeating: "a", count: 20))
    }

    @Test("a queue's own slots bound it, the worker's slots bound all together")
    func slots() async throws {
        let now = Mutex<[QueueName: Int]>([:])
        let most = Mutex<[QueueName: Int]>([:])
        let gate = Gate()
        var configuration = ErrandHarness.patient
        configuration.concurrency = 5
        configuration.queues = ["a": .init(slots: 2), "b": .init()]
        let harness = ErrandHarness(configuration: configuration) { handlers, _ in
            handlers.add(Chore.self) { job, context in
                let queue = context.queue
                let (running, all) = now.withLock { now in
                    now[queue, default: 0] += 1
                    return (now[queue, default: 0], now.values.reduce(0, +))
                }
                most.withLock { most in
                    most[queue] = max(most[queue] ?? 0, running)
                    most["all"] = max(most["all"] ?? 0, all)
                }
                if queue == "a" && job.number == 0 { await gate.wait() }
                await Task.yield()
                now.withLock { $0[queue, default: 0] -= 1 }
                if queue == "b" && job.number == 99 { gate.open() }
            }
        }
        for queue: QueueName in ["a", "b"] {
            try await harness.client.enqueue(contentsOf: (0..<100).map(Chore.init), options: .init(queue: queue))
        }
        #expect(try await harness.runDue().count == 200)
        let found = most.withLock { $0 }
        #expect(found["a"] == 2)
        #expect(found["b"].map { $0 >= 3 && $0 <= 5 } == true)
        #expect(found["all"] == 5)
    }

    @Test("a job of low priority that has waited for a quarter of an hour goes before newer ones of normal priority")
    func ageing() async throws {
        let order = Mutex<[Int]>([])
        var configuration = ErrandHarness.patient
        configuration.concurrency = 1
        let harness = ErrandHarness(configuration: configuration) { handlers, _ in
            handlers.add(Chore.self) { job, _ in order.withLock { $0.append(job.number) } }
        }
        let low = EnqueueOptions.priority(.low)
        try await harness.client.enqueue(Chore(number: 1), options: low)
        // Three levels lie between low and normal, each worth five minutes.
        harness.clock.advance(by: .minutes(15) - .seconds(1))
        try await harness.client.enqueue(Chore(number: 2))
        harness.clock.advance(by: .seconds(2))
        try await harness.client.enqueue(Chore(number: 3))
        try await harness.client.enqueue(Chore(number: 4), options: low)
        #expect(try await harness.runDue().count == 4)
        #expect(order.withLock { $0 } == [2, 1, 3, 4])
    }
}
