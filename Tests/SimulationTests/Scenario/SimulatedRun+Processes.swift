// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Logging
import Synchronization

extension SimulatedRun {
    var configuration: WorkerConfiguration {
        var configuration = WorkerConfiguration()
        if flaw == .lostWakeUp {
            (configuration.pollInterval, configuration.idlePollInterval) = (.days(1), .days(1))
        }
        configuration.queues = [.default: .init(), "side": .init(weight: 2)]
        configuration.retention = RetentionPolicy(
            ages: [.succeeded: plan.retention, .cancelled: plan.retention, .failed: plan.retention],
            maximum: nil
        )
        return configuration
    }

    /// Starts a process with a client only.
    func startFront() {
        let process = SimulatedProcess(number: SimulationPlan.front, in: simulator)
        let client = client(on: process, connection: network.connect(process), start: 0)
        state.withLock {
            $0.living[process.number] = Incarnation(process: process, client: client, worker: nil, main: nil)
        }
    }

    /// Starts a process with a worker.
    func start(_ member: WorkerPlan, knowsAll: Bool) {
        let process = SimulatedProcess(number: member.number, skew: member.skew, in: simulator)
        let connection = network.connect(process)
        let start = state.withLock { state in
            state.incarnations += 1
            return state.incarnations
        }
        let client = client(on: process, connection: connection, start: start)
        var configuration = configuration
        configuration.concurrency = member.slots
        configuration.readAhead = member.readAhead
        let worker = Worker(
            store: connection,
            handlers: ChoreHandlers(run: self, process: process, client: client).handlers(knowsAll: knowsAll),
            configuration: configuration,
            events: EventHub(),
            logger: Self.silence,
            clock: process,
            chance: chance(1, member.number, start),
            runners: WorkerRunners(handlers: process, control: process, beats: process)
        )
        let main = Task(executorPreference: process.lane("main")) {
            try? await worker.run()
            self.history.record(.stopped, in: process.number)
        }
        state.withLock {
            $0.living[member.number] = Incarnation(process: process, client: client, worker: worker, main: main)
        }
    }

    private func client(on process: SimulatedProcess, connection: SimulatedConnection, start: Int) -> JobClient {
        JobClient(
            store: connection,
            events: EventHub(),
            clock: process,
            chance: chance(2, process.number, start)
        )
    }

    private func chance(_ kind: Int, _ process: Int, _ start: Int) -> Chance {
        Chance(SeededGenerator(seed: plan.seed &* 1_000_003 &+ UInt64(kind * 1_000_000 + process * 1000 + start)))
    }

    private static let silence = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }

    /// Kills a process; its handlers call it too.
    func crash(_ process: SimulatedProcess) {
        let victim: Incarnation? = state.withLock { state in
            guard let found = state.living[process.number], found.process === process, found.worker != nil else {
                return nil
            }
            state.living[process.number] = nil
            state.pending[ObjectIdentifier(process)] = nil
            state.dead.append(found)
            return found
        }
        guard let victim, let worker = victim.worker else { return }
        process.crash()
        history.record(.fault("crash \(process.number)"), in: process.number)
        history.record(.crashed([worker.id]), in: process.number)
    }
}
