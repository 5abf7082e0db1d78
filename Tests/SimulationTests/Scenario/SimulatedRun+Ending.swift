// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization

/// What a simulation came to.
struct SimulationResult: Sendable {
    var violations: [HistoryViolation]
    var events: [HistoryEvent]
    var steps: Int
    var time: Duration
    /// The same for two runs of one plan.
    var digest: UInt64
    var faults: [String: Int]
}

extension SimulatedRun {
    /// How long after healing everything must be final.
    static let patience: Duration = .minutes(20)
    /// How long after healing a call from before may still take effect.
    static let aftermath: Duration = .seconds(65)

    /// Carries the plan out and checks what happened.
    func run() -> SimulationResult {
        schedule()
        simulator.run(until: plan.length)
        simulator.run(until: plan.length + Self.aftermath)
        while !isQuiet, simulator.uptime < plan.length + Self.patience {
            simulator.run(until: simulator.uptime + .seconds(1))
        }
        let isQuiet = isQuiet
        if isQuiet { probe() }
        stopAll()
        let ending = dump(isQuiet: isQuiet)
        let (steps, time, digest) = (simulator.steps, simulator.uptime, simulator.digest)
        let (events, faults) = (history.events, history.faults)
        takeApart()
        var checker = HistoryChecker(poll: .seconds(5) + plan.latency * 4 + .milliseconds(100))
        let violations = checker.check(events, ending: ending)
        return SimulationResult(
            violations: violations,
            events: events,
            steps: steps,
            time: time,
            digest: digest,
            faults: faults
        )
    }

    /// Enqueues jobs that idle workers have to find without being told.
    private func probe() {
        network.setDropsSignals(true)
        for number in 2000..<2003 {
            enqueue(JobPlan(number: number, at: simulator.uptime, process: SimulationPlan.front, acts: []))
            simulator.run(until: simulator.uptime + .seconds(12))
        }
        network.setDropsSignals(false)
    }

    /// Stops every worker in good order and waits as long as they may take.
    private func stopAll() {
        let living = state.withLock { $0.living.values.sorted { $0.process.number < $1.process.number } }
        for incarnation in living {
            guard let worker = incarnation.worker, !incarnation.process.isStopped else { continue }
            history.record(.stopping, in: incarnation.process.number)
            worker.stopClaiming()
        }
        simulator.run(until: simulator.uptime + .seconds(30))
    }

    /// Reads all that is stored at the end.
    private func dump(isQuiet: Bool) -> HistoryEnding {
        let box = Box<HistoryEnding>()
        let store = network.store
        Task(executorPreference: world.lane("dump")) {
            var rows: [JobRecord] = []
            var page = JobPageRequest(limit: JobPageRequest.largest)
            repeat {
                guard let answer = try? await store.list(JobFilter(), page: page) else { break }
                rows += (try? await store.jobs(answer.jobs.map(\.id), parts: .attempts)) ?? []
                page.after = answer.next
            } while page.after != nil
            let series = try? await store.series(SeriesRequest(from: .epoch, before: .distantFuture))
            let counts = try? await store.counts()
            box.set(HistoryEnding(rows: rows, counts: counts, series: series ?? [], isQuiet: isQuiet))
        }
        simulator.run(until: simulator.uptime)
        return box.value ?? HistoryEnding(rows: [], counts: nil, series: [], isQuiet: false)
    }

    /// Lets everything come to its end, the dead too, so that nothing is left behind in memory.
    private func takeApart() {
        network.close()
        let all = state.withLock { state in
            state.isOver = true
            defer { (state.living, state.dead) = ([:], []) }
            return state.dead + state.living.values.sorted { $0.process.number < $1.process.number }
        }
        for incarnation in all {
            incarnation.main?.cancel()
            incarnation.process.thaw()
        }
        simulator.run(until: simulator.uptime + .minutes(10))
        simulator.forgetTimers()
    }
}

/// A value that one task leaves for whoever ran the simulator.
private final class Box<Value: Sendable>: Sendable {
    private let content = Mutex<Value?>(nil)

    var value: Value? { content.withLock { $0 } }

    func set(_ value: Value) { content.withLock { $0 = value } }
}
