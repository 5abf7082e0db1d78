// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import Errand
import Synchronization

/// One process of a simulation: the threads and the clock of whatever runs in it.
///
/// It can be stopped at any step, which is all that a crash and a pause are from outside: nothing of it runs any
/// more, its timers included. A paused one goes on where it was; one that crashed stays as it is, to be taken apart
/// when the simulation is over.
package final class SimulatedProcess: LaneRunner, ErrandClock {
    private enum Work {
        case step(UnownedJob, WorkLane)
        case action(@Sendable () -> Void)
    }

    private struct State {
        var isStopped = false
        var isDead = false
        var backlog: [Work] = []
    }

    /// Told apart from all others of the simulation.
    package let number: Int
    /// How far its clock is from the true time.
    private let skew: Duration
    private let simulator: Simulator
    private let state = Mutex(State())

    package init(number: Int, skew: Duration = .zero, in simulator: Simulator) {
        self.number = number
        self.skew = skew
        self.simulator = simulator
    }

    /// A way for tasks onto this process.
    package func lane(_ name: String) -> WorkLane { WorkLane(name: name, pool: self) }

    /// Whether it crashed and was not taken apart yet.
    package var isDead: Bool { state.withLock { $0.isDead } }

    /// Whether it is paused or crashed.
    package var isStopped: Bool { state.withLock { $0.isStopped } }

    package var now: Timestamp { simulator.now + skew }

    package var uptime: Duration { simulator.uptime }

    package func schedule(after delay: Duration, _ action: @escaping @Sendable () -> Void) -> ClockTimer {
        simulator.schedule(after: delay, for: self, action)
    }

    package func enqueue(_ job: UnownedJob, lane: WorkLane) {
        simulator.add(job, lane: lane, of: self)
    }

    /// Nothing: what still comes is run.
    package func stop(whenDone: (@Sendable () -> Void)?) { whenDone?() }

    /// Stops it where it is.
    package func pause() {
        state.withLock { $0.isStopped = true }
    }

    /// Stops it for good.
    package func crash() {
        state.withLock { ($0.isStopped, $0.isDead) = (true, true) }
    }

    /// Lets it go on; does nothing to one that crashed.
    package func resume() {
        guard !isDead else { return }
        thaw()
    }

    /// Lets it go on even if it crashed: nothing it does counts any more.
    package func thaw() {
        let backlog = state.withLock { state in
            (state.isStopped, state.isDead) = (false, false)
            defer { state.backlog = [] }
            return state.backlog
        }
        for work in backlog {
            switch work {
            case .step(let job, let lane): enqueue(job, lane: lane)
            case .action(let action): _ = schedule(after: .zero, action)
            }
        }
    }

    func perform(_ job: UnownedJob, lane: WorkLane) {
        let runs = state.withLock { state in
            if state.isStopped { state.backlog.append(.step(job, lane)) }
            return !state.isStopped
        }
        if runs { job.runSynchronously(on: lane.asUnownedTaskExecutor()) }
    }

    func act(_ action: @escaping @Sendable () -> Void) {
        let runs = state.withLock { state in
            if state.isStopped { state.backlog.append(.action(action)) }
            return !state.isStopped
        }
        if runs { action() }
    }
}
