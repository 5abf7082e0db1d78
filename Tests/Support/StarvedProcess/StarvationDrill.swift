// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Errand
import ErrandSQLite
import ErrandTesting
import Logging
import MetricsTestKit

/// One worker whose threads are starved, another one on the same store that takes the jobs of the dead, and what
/// becomes of the jobs.
struct StarvationDrill {
    enum Trouble: Error { case tooSlow(String) }

    let plan: StarvationPlan
    let clock = SystemClock.shared
    let events = DrillEvents()
    let metrics = TestMetrics()
    let stubborn = DrillGate()
    let blocking = DrillGate()

    init(_ plan: StarvationPlan) { self.plan = plan }

    func run() async throws -> StarvationFacts {
        let (store, other) = try stores()
        let (hub, otherHub) = (EventHub(), EventHub())
        events.listen(to: hub, clock)
        events.listen(toRescuer: otherHub)
        let worker = withMetricsFactory(metrics) { self.worker(on: store, hub) }
        let rescuer = Worker(
            store: other,
            handlers: JobHandlers(),
            configuration: plan.configuration,
            events: otherHub,
            logger: logger("rescuer")
        )
        let client = JobClient(store: other)
        var facts = StarvationFacts()
        facts.leaseSeconds = plan.lease.inSeconds
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await worker.run() }
            group.addTask { try await rescuer.run() }
            try await until("both workers are ready") { worker.health.isReady && rescuer.health.isReady }
            switch plan.kind {
            case .sharedPool: try await starveSharedPool(worker, client, &facts)
            case .handlerThreads: try await starveHandlers(worker, client, &facts)
            }
            worker.stopClaiming()
            rescuer.stopClaiming()
            try await group.waitForAll()
        }
        let seen = events.seen
        (facts.rescued, facts.leasesLost, facts.fences) = (seen.rescued, seen.leasesLost, seen.fences)
        facts.blocking = seen.blocking.sorted()
        return facts
    }

    /// The store of the worker and that of everybody else: one in memory, or two of one file.
    private func stores() throws -> (any JobStore, any JobStore) {
        let (store, other): (any JobStore, any JobStore)
        if let file = plan.file {
            store = try SQLiteStore(path: file, configuration: SQLiteConfiguration(durability: .processCrash))
            other = try SQLiteStore(path: file, configuration: SQLiteConfiguration(durability: .processCrash))
        } else {
            store = MemoryStore()
            other = store
        }
        guard plan.beatsNeedSharedPool else { return (store, other) }
        let slow = FaultyStore(store, clock: SharedPoolClock())
        slow.planAlways(.delay(.zero), for: .beat)
        return (slow, other)
    }

    private func worker(on store: any JobStore, _ hub: EventHub) -> Worker {
        var configuration = plan.configuration
        configuration.concurrency = 4
        configuration.threads = 2
        configuration.queues = [.default: .init(), "narrow": .init(slots: 1)]
        return Worker(
            store: store,
            handlers: drillHandlers(stubborn: stubborn, blocking: blocking),
            configuration: configuration,
            events: hub,
            logger: logger("worker")
        )
    }

    private func logger(_ label: String) -> Logger {
        Logger(label: label) { StreamLogHandler.standardError(label: $0) }
    }

    /// Looks until something holds, without a thread of the shared pool.
    func until(_ what: String, holds: () async throws -> Bool) async throws {
        let giveUpAt = clock.uptime + plan.length
        while try await !holds() {
            if clock.uptime > giveUpAt { throw Trouble.tooSlow(what) }
            try await clock.sleep(for: .milliseconds(5))
        }
    }

    /// Beats that were answered; a failed one counts as well, and is told as an event of its own.
    func beatLog() -> BeatLog {
        BeatLog { [metrics] in
            (try? metrics.expectGauge("errand_beat_age_seconds", Self.all).values.count) ?? 0
        }
    }

    /// The gauge of the handlers that ignore their cancellation.
    var zombieGauge: Double { (try? metrics.expectGauge("errand_zombies", Self.all).lastValue) ?? 0 }

    private static let all = [("queue", "all"), ("name", "all")]
}

extension StarvationFacts.Job {
    init(_ record: JobRecord) {
        name = record.name.rawValue
        state = record.state.word
        epoch = record.epoch
        crashes = record.crashes
        reason = record.reason?.rawValue
        hasResult = record.result != nil
    }
}
