// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

@Suite("Rolling restarts", .timeLimit(.minutes(5)))
struct RollingRestartTests {
    @Test("five workers that are replaced one after another lose no job, fail none and use up no attempt")
    func deploys() async throws {
        let store = MemoryStore()
        let runs = Mutex<[Int: Int]>([:])
        // A deploy of minutes in seconds: jobs of up to 300 ms meet a budget of 180 ms.
        var configuration = WorkerConfiguration()
        configuration.concurrency = 6
        configuration.shutdown.cancelAfter = .milliseconds(180)
        configuration.shutdown.giveBackAfter = .milliseconds(2000)
        configuration.shutdown.exitAfter = .milliseconds(4000)
        var handlers = JobHandlers()
        handlers.add(Chore.self) { chore, _ in
            runs.withLock { $0[chore.number, default: 0] += 1 }
            try await SystemClock.shared.sleep(for: .milliseconds(chore.number * 37 % 300))
        }
        let client = JobClient(store: store)
        let count = 500
        _ = try await client.enqueue(contentsOf: (0..<count).map(Chore.init))
        let restarts = try await withThrowingTaskGroup(of: Void.self) { group in
            var fleet: [Worker] = []
            var restarts = 0
            while try await store.counts().count(.succeeded) < count {
                let worker = Worker(store: store, handlers: handlers, configuration: configuration)
                group.addTask { try await worker.run() }
                fleet.append(worker)
                if fleet.count > 5 {
                    fleet.removeFirst().stopClaiming()
                    restarts += 1
                }
                try await SystemClock.shared.sleep(for: .milliseconds(120))
            }
            for worker in fleet { worker.stopClaiming() }
            try await group.waitForAll()
            return restarts
        }
        #expect(restarts > 0)
        let ids = try await client.jobs(JobFilter(), page: JobPageRequest(limit: 500)).jobs
        #expect(ids.count == count)
        for record in ids {
            #expect(record.state == .succeeded && record.attempt == 1 && record.failures == 0 && record.crashes == 0)
        }
        let released = ids.reduce(0) { $0 + $1.releases }
        #expect(released > 0, "the budget was too short for some")
        #expect(
            runs.withLock { $0.values.reduce(0, +) } <= count + released,
            "what was given back may not have started"
        )
    }
}
