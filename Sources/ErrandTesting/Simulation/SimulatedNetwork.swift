// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import Errand
import Synchronization

/// What is between the processes of a simulation and their store: every call takes its time and may go wrong, every
/// signal may be late or lost.
package final class SimulatedNetwork: Sendable {
    private struct State {
        var isOut = false
        var isClosed = false
        var dropsSignals = false
        var isCut: Set<Int> = []
        var faults: [Int: [CallFault]] = [:]
        var connections: [SimulatedConnection] = []
    }

    package let store: any JobStore
    package let history: History
    /// Where calls are carried out: nothing stops this process.
    let world: SimulatedProcess
    private let simulator: Simulator
    private let latency: ClosedRange<Duration>
    private let state = Mutex(State())
    private let lane: WorkLane
    private let subscription: Mutex<HubRegistration?> = Mutex(nil)

    /// A network around `store`; a call and its answer each take a random time within `latency`.
    package init(
        _ store: any JobStore,
        latency: ClosedRange<Duration>,
        world: SimulatedProcess,
        history: History,
        simulator: Simulator
    ) {
        self.store = store
        self.latency = latency
        self.world = world
        self.history = history
        self.simulator = simulator
        lane = world.lane("store")
        let registration = store.hub.subscribe { [weak self] in self?.pass(on: $0) }
        subscription.withLock { $0 = registration }
    }

    /// The way of one process to the store.
    package func connect(_ process: SimulatedProcess) -> SimulatedConnection {
        let connection = SimulatedConnection(process, network: self)
        state.withLock { state in
            state.connections.removeAll { $0.process.isDead }
            state.connections.append(connection)
        }
        return connection
    }

    /// Whether the store cannot be reached by anybody.
    package func setOutage(_ isOut: Bool) { state.withLock { $0.isOut = isOut } }

    /// Whether this process cannot reach the store.
    package func setCut(_ isCut: Bool, _ process: Int) {
        state.withLock { state in
            if isCut { state.isCut.insert(process) } else { state.isCut.remove(process) }
        }
    }

    /// Whether signals are lost.
    package func setDropsSignals(_ drops: Bool) { state.withLock { $0.dropsSignals = drops } }

    /// The next call of this process goes wrong like this.
    package func plan(_ fault: CallFault, for process: Int) {
        state.withLock { $0.faults[process, default: []].append(fault) }
    }

    /// Nothing goes wrong any more, except lost signals, if they were.
    package func heal() {
        state.withLock { ($0.isOut, $0.isCut, $0.faults) = (false, [], [:]) }
    }

    /// The simulation is over: calls fail at once, so that everything comes to its end.
    package func close() {
        state.withLock { ($0.isClosed, $0.connections) = (true, []) }
        subscription.withLock { $0?.cancel() }
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Carries a call out on nobody's task but its own, so that it goes on whatever becomes of the caller.
    func send<Answer: Sendable>(
        _ call: Int,
        of process: Int,
        _ reply: @escaping @Sendable (Answer) -> StoreReply,
        _ body: @escaping @Sendable (any JobStore) async throws -> Answer
    ) async -> Result<Answer, any Error> {
        await withCheckedContinuation { continuation in
            Task(executorPreference: lane) {
                continuation.resume(returning: await self.carryOut(call, of: process, reply, body))
            }
        }
    }

    private func carryOut<Answer: Sendable>(
        _ call: Int,
        of process: Int,
        _ reply: @escaping @Sendable (Answer) -> StoreReply,
        _ body: @escaping @Sendable (any JobStore) async throws -> Answer
    ) async -> Result<Answer, any Error> {
        let fault = state.withLock { state in
            state.faults[process]?.isEmpty == false ? state.faults[process]?.removeFirst() : nil
        }
        if let fault { history.record(.fault("\(fault.word) \(call)"), in: process) }
        await rest(fault.flatMap { if case .late(let wait) = $0 { wait } else { nil } } ?? .zero)
        if fault == .refused || !isReachable(from: process) {
            if fault != .refused { history.record(.fault("outage-call \(call)"), in: process) }
            await rest()
            return .failure(StoreError(.unavailable, "the store is away; try again"))
        }
        var answer: Result<Answer, any Error>
        var times = fault == .repeated ? 2 : 1
        repeat {
            history.begin(call)
            do {
                let value = try await body(store)
                history.record(.effect(call: call, reply(value)), in: process)
                answer = .success(value)
            } catch {
                answer = .failure(error)
            }
            history.begin(0)
            times -= 1
        } while times > 0
        await rest(fault.flatMap { if case .lateAnswer(let wait) = $0 { wait } else { nil } } ?? .zero)
        if fault == .answerLost || !isReachable(from: process) {
            if fault != .answerLost { history.record(.fault("lost-answer \(call)"), in: process) }
            return .failure(StoreError(.outcomeUnknown, "the answer was lost"))
        }
        return answer
    }

    private func isReachable(from process: Int) -> Bool {
        state.withLock { !$0.isOut && !$0.isCut.contains(process) }
    }

    private func rest(_ more: Duration = .zero) async {
        let wait = simulator.draw(latency) + more
        // The task is nobody's and is never cancelled.
        if wait > .zero { try? await world.sleep(for: wait) }
    }

    private func pass(on signal: StoreSignal) {
        let (connections, drops) = state.withLock { ($0.connections, $0.dropsSignals) }
        for connection in connections {
            guard !drops, !connection.process.isDead else {
                if drops { history.record(.fault("dropped-signal"), in: connection.process.number) }
                continue
            }
            // What another process wrote is told without saying what.
            let told: StoreSignal = simulator.draw() % 2 == 0 ? signal : .elsewhere
            _ = connection.process.schedule(after: simulator.draw(latency)) { connection.hub.publish(told) }
        }
    }
}
