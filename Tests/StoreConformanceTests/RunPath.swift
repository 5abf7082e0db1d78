// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Logging
import Testing

/// The way of some jobs through client, store and worker, with one call of the store going wrong.
struct RunPath: Sendable {
    struct Once: Error {}

    let inner: any JobStore
    let store: FaultyStore
    let worker: Worker
    let runs = ParcelRuns()
    private let attempts = OpenAttempts()
    private let clock: ManualClock

    /// A path over an empty store; its call number `call`, of whatever name, has this fault.
    init(over inner: any JobStore, clock: ManualClock, fault: FaultyStore.Fault, call: Int) {
        self.inner = inner
        self.clock = clock
        store = FaultyStore(inner, clock: clock)
        store.plan(fault, for: nil, number: call)
        var handlers = JobHandlers()
        handlers.add(Parcel.self) { [runs] parcel, context in
            if runs.add(parcel.number) == 1 && parcel.number == 1 { throw Once() }
            guard parcel.number == 2 else { return parcel.number }
            context.progress(0.5, "half")
            context.log("on the way")
            return try await context.step("weigh") { 20 + parcel.number }
        }
        var configuration = WorkerConfiguration()
        configuration.concurrency = 2
        configuration.scheduler = nil
        configuration.beatInterval = .seconds(2)
        configuration.fenceAfter = .seconds(9)
        configuration.deadAfter = .seconds(12)
        configuration.maintenanceInterval = .seconds(13)
        let events = EventHub()
        _ = events.observe { [attempts] in attempts.hear($0) }
        worker = Worker(
            store: store,
            handlers: handlers,
            configuration: configuration,
            events: events,
            logger: Logger(label: "path") { _ in SwiftLogNoOpLogHandler() },
            clock: clock,
            chance: Chance(SeededGenerator(seed: 1))
        )
    }

    /// Runs all of it.
    /// - Returns: The jobs that were stored, by number.
    func run() async throws -> [Int: JobID] {
        let left = try await leaveBehind(Parcel(number: 0))
        let running = Task { try await worker.run() }
        while !worker.health.isReady {
            // Only a failed registration waits for the clock before the worker is ready.
            if worker.health.isStoreLost { clock.advance(by: .milliseconds(100)) }
            await Task.yield()
        }
        await quiet()
        let jobs = try await enqueue().merging([0: left]) { $1 }
        try await drive {
            try await inner.jobs(Array(jobs.values), parts: []).allSatisfy(\.state.isFinal) && attempts.areOver
        }
        #expect(worker.health.running == 0)
        #expect(worker.health.zombies == 0)
        // Nothing runs, so nothing may wait for the clock, which nobody moves any more.
        worker.stopClaiming()
        try await running.value
        return jobs
    }

    /// Stores jobs on every road: many, one that is unique, the same once more, one for later.
    private func enqueue() async throws -> [Int: JobID] {
        // The client's waits are its own, so that the worker's time stands while it enqueues.
        let ownClock = ManualClock()
        let client = JobClient(store: store, clock: ownClock, chance: Chance(SeededGenerator(seed: 2)))
        let hurry = Task {
            while !Task.isCancelled { ownClock.advance(by: await ownClock.nextTimer()) }
        }
        defer { hurry.cancel() }
        let many = try await client.enqueue(contentsOf: (1...4).map(Parcel.init))
        let unique = EnqueueOptions.unique(key: "five", scope: .forTTL(.hours(1)))
        let first = try await client.enqueue(Parcel(number: 5), options: unique)
        let again = try await client.enqueue(Parcel(number: 5), options: unique)
        #expect(again.id == first.id)
        let later = try await client.enqueue(Parcel(number: 6), options: .delay(.seconds(3)))
        var jobs = [5: first.id, 6: later.id]
        for (index, handle) in many.enumerated() { jobs[index + 1] = handle.id }
        return jobs
    }

    /// Stores a job and lets another worker die with it.
    private func leaveBehind(_ parcel: Parcel) async throws -> JobID {
        let id = try await JobClient(store: inner, clock: clock, chance: Chance(SeededGenerator(seed: 3)))
            .enqueue(parcel).id
        let dead = Chance(SeededGenerator(seed: 4)).workerID(at: clock.now)
        let names = [Parcel.name: 1]
        _ = try await inner.register(
            WorkerRegistration(id: dead, host: "there", pid: 1, version: "", names: names, slots: [.default: 1])
        )
        let queues = [ClaimRequest.Queue(name: .default, slots: 1)]
        let claimed = try await inner.claim(ClaimRequest(worker: dead, names: names, queues: queues, limit: 1))
        #expect(claimed.jobs.map(\.record.id) == [id])
        return id
    }

    /// Moves the clock from timer to timer, each time when everything that could run has run.
    private func drive(until isDone: () async throws -> Bool) async throws {
        for _ in 0..<500 {
            if try await isDone() { return }
            await quiet()
            clock.advance(by: await clock.nextTimer())
        }
        Issue.record("five hundred timers were not enough")
    }

    /// Returns when beats, maintenance, the fence and, in a worker that trusts its leases, claims sleep.
    private func quiet() async {
        while worker.health.running > 0 { await Task.yield() }
        await clock.waitForTimers(atLeast: worker.health.isReady ? 4 : 3)
    }
}
