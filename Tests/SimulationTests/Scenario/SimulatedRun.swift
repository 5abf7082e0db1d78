// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization

/// One simulation: a plan carried out, from its first job to the end of its last worker.
final class SimulatedRun: Sendable {
    /// One start of one process, with what runs in it.
    struct Incarnation: Sendable {
        let process: SimulatedProcess
        let client: JobClient
        let worker: Worker?
        let main: Task<Void, Never>?
    }

    struct State {
        /// The one that runs or is paused, by number.
        var living: [Int: Incarnation] = [:]
        var dead: [Incarnation] = []
        var starts: [Int: Int] = [:]
        var incarnations = 0
        var isHealed = false
        /// Everything is being taken apart: nothing new begins.
        var isOver = false
        /// Calls of clients that have not returned, by process.
        var pending: [ObjectIdentifier: Int] = [:]
    }

    let plan: SimulationPlan
    let simulator: Simulator
    let world: SimulatedProcess
    let history: History
    let memory: MemoryStore
    let network: SimulatedNetwork
    let state = Mutex(State())
    private let acts: [Int: [JobPlan.Act]]
    let flaw: Flaw?
    private let journal: Journal

    /// - Parameter flaw: What is broken about the store; nothing when `nil`.
    init(_ plan: SimulationPlan, flaw: Flaw? = nil) {
        self.plan = plan
        self.flaw = flaw
        let simulator = Simulator(seed: plan.seed, stepTime: plan.stepTime)
        let world = SimulatedProcess(number: 0, in: simulator)
        let history = History { (simulator.now, simulator.uptime) }
        let journal = Journal()
        let memory = MemoryStore(clock: world) { before, after, _ in
            history.changed(before, after)
            journal.note(before, after)
        }
        self.memory = memory
        self.journal = journal
        self.simulator = simulator
        self.world = world
        self.history = history
        let store: any JobStore = flaw.map { BrokenStore(memory, $0, world: world) } ?? memory
        network = SimulatedNetwork(
            store,
            latency: .zero...plan.latency,
            world: world,
            history: history,
            simulator: simulator
        )
        acts = Dictionary(plan.jobs.map { ($0.number, $0.acts) }, uniquingKeysWith: { first, _ in first })
    }

    /// What the handler of a job does at this start of it.
    func act(of number: Int) -> JobPlan.Act {
        guard let acts = acts[number], let last = acts.last else { return .succeed(after: .zero) }
        let start = state.withLock { state in
            defer { state.starts[number, default: 0] += 1 }
            return state.starts[number, default: 0]
        }
        return start < acts.count ? acts[start] : last
    }

    /// Waits whatever happens to the task.
    func outlast(_ time: Duration, on process: SimulatedProcess) async {
        await withCheckedContinuation { continuation in
            _ = process.schedule(after: time) { continuation.resume() }
        }
    }

    /// Whether every stored job is final.
    var isQuiet: Bool { journal.isQuiet && state.withLock { $0.pending.values.allSatisfy { $0 == 0 } } }
}

/// Which stored jobs are not final.
private final class Journal: Sendable {
    private let unfinished = Mutex<Set<JobID>>([])

    func note(_ before: JobRecord?, _ after: JobRecord?) {
        unfinished.withLock { jobs in
            if let after, !after.state.isFinal {
                jobs.insert(after.id)
            } else if let id = (after ?? before)?.id {
                jobs.remove(id)
            }
        }
    }

    var isQuiet: Bool { unfinished.withLock { $0.isEmpty } }
}
