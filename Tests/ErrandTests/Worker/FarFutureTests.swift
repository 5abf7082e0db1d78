// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

@Suite("Jobs that are due later than a lease lasts", .timeLimit(.minutes(5)))
struct FarFutureTests {
    @Test("ten thousand jobs that are due after three leases run once each, with eight workers that wait for them")
    func once() async throws {
        let store = MemoryStore()
        let runs = Mutex<[Int: Int]>([:])
        let all = Gate()
        var configuration = WorkerConfiguration.jobsOnly
        configuration.beatInterval = .milliseconds(200)
        configuration.fenceAfter = .seconds(1)
        configuration.deadAfter = .seconds(2)
        configuration.maintenanceInterval = .milliseconds(200)
        var handlers = JobHandlers()
        handlers.add(Chore.self) { chore, _ in
            let isLast = runs.withLock { runs in
                runs[chore.number, default: 0] += 1
                return runs.count == 10_000
            }
            if isLast { all.open() }
        }
        let workers = (0..<8).map { _ in Worker(store: store, handlers: handlers, configuration: configuration) }
        let client = JobClient(store: store)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in workers { group.addTask { try await worker.run() } }
            while !workers.allSatisfy(\.health.isReady) { await Task.yield() }
            let due = SystemClock.shared.now + configuration.deadAfter * 3
            let options = EnqueueOptions(start: .at(due))
            _ = try await client.enqueue(contentsOf: (0..<10_000).map(Chore.init), options: options)
            await all.wait()
            while try await store.counts().count(.succeeded) < 10_000 { await Task.yield() }
            for worker in workers { worker.stopClaiming() }
            try await group.waitForAll()
        }
        #expect(runs.withLock { Set($0.values) } == [1])
        let counts = try await store.counts()
        #expect(counts.count(.succeeded) == 10_000 && counts.count() == 10_000)
        // Not `.released`: a machine so busy that beats are late gives back what was claimed ahead.
        let crashed = try await store.series(
            SeriesRequest(from: .epoch, before: .distantFuture, metrics: [.crashed, .failedAttempts])
        )
        #expect(crashed.isEmpty)
    }
}
