// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import Errand
import Synchronization

/// One thread, one virtual time, several processes: of all that could run next, a seed picks what does.
///
/// The runtime under test is the real one. Its tasks run here because every step of them arrives over a ``WorkLane``,
/// and its timers because its clock is a ``SimulatedProcess``. While something can run, time hardly moves; when
/// nothing can, it jumps to the next timer. So a run follows from its seed alone, and an hour costs milliseconds.
package final class Simulator: Sendable {
    private struct Step {
        let job: UnownedJob
        let lane: WorkLane
        let process: SimulatedProcess
    }

    private struct Timer {
        let process: SimulatedProcess
        let action: @Sendable () -> Void
    }

    private struct State: ~Copyable {
        var generator: SeededGenerator
        var uptime: Duration = .zero
        var origin: Timestamp
        var ready: [Step] = []
        var timers = TimerQueue<Timer>()
        var steps = 0
        var digest: UInt64 = 0xcbf2_9ce4_8422_2325
    }

    private let state: Mutex<State>
    /// The most virtual microseconds that one step takes; with none, everything that can run does so at one instant.
    private let stepTime: UInt64

    /// A simulator whose choices follow from `seed`.
    package init(seed: UInt64, stepTime: Duration = .zero) {
        state = Mutex(
            State(
                generator: SeededGenerator(seed: seed),
                origin: Timestamp(microseconds: 1_767_225_600_000_000)
            )
        )
        self.stepTime = UInt64(max(stepTime.wholeMicroseconds, 0))
    }

    /// The true time of day, which the store goes by.
    package var now: Timestamp { state.withLock { $0.origin + $0.uptime } }

    /// Time since the start.
    package var uptime: Duration { state.withLock { $0.uptime } }

    /// How many steps of tasks have run.
    package var steps: Int { state.withLock { $0.steps } }

    /// A number that two runs share only if they took the same choices at the same times.
    package var digest: UInt64 { state.withLock { $0.digest } }

    /// Steps the time of day, as an operator's correction does.
    package func stepWallClock(by duration: Duration) {
        state.withLock { $0.origin = $0.origin + duration }
    }

    /// The next random number.
    package func draw() -> UInt64 { state.withLock { $0.generator.next() } }

    /// A random duration of this range, to the microsecond.
    package func draw(_ range: ClosedRange<Duration>) -> Duration {
        let (low, high) = (range.lowerBound.wholeMicroseconds, range.upperBound.wholeMicroseconds)
        guard high > low else { return range.lowerBound }
        return .microseconds(low + Int64(draw() % UInt64(high - low + 1)))
    }

    /// Forgets the timers that are left: they hold their processes, which hold this.
    package func forgetTimers() {
        let timers = state.withLock { state in
            var left: [Timer] = []
            while let due = state.timers.takeDue(at: .seconds(Int64.max >> 32)) { left.append(due.action) }
            return left
        }
        _ = timers
    }

    func add(_ job: UnownedJob, lane: WorkLane, of process: SimulatedProcess) {
        state.withLock { $0.ready.append(Step(job: job, lane: lane, process: process)) }
    }

    func schedule(
        after delay: Duration,
        for process: SimulatedProcess,
        _ action: @escaping @Sendable () -> Void
    ) -> ClockTimer {
        let id = state.withLock { state in
            state.timers.add(Timer(process: process, action: action), at: state.uptime + max(delay, .zero)).id
        }
        return ClockTimer { [self] in
            let timer = state.withLock { $0.timers.cancel(id) }
            _ = timer
        }
    }

    /// Runs until this uptime, or until nothing runs and `isDone` says so; it is asked before each jump of time.
    package func run(until end: Duration, unless isDone: () -> Bool = { false }) {
        while true {
            if fireDue() || runOne() { continue }
            if isDone() || !jump(to: end) { return }
        }
    }

    private func fireDue() -> Bool {
        let timer: Timer? = state.withLock { state in
            guard let due = state.timers.takeDue(at: state.uptime) else { return nil }
            Self.mix(UInt64(due.action.process.number) << 32 | 0xFF, &state.digest)
            return due.action
        }
        guard let timer else { return false }
        timer.process.act(timer.action)
        return true
    }

    private func runOne() -> Bool {
        let step: Step? = state.withLock { state in
            guard !state.ready.isEmpty else { return nil }
            let chosen = Int(state.generator.next() % UInt64(state.ready.count))
            let step = state.ready[chosen]
            state.ready.swapAt(chosen, state.ready.count - 1)
            state.ready.removeLast()
            state.steps += 1
            Self.mix(UInt64(step.process.number) << 32 | UInt64(state.ready.count), &state.digest)
            if stepTime > 0 {
                state.uptime += .microseconds(Int64(state.generator.next() % (stepTime + 1)))
            }
            return step
        }
        guard let step else { return false }
        step.process.perform(step.job, lane: step.lane)
        return true
    }

    private func jump(to end: Duration) -> Bool {
        state.withLock { state in
            // The earliest may be that of a cancelled timer; then nothing is due there and the next jump follows.
            guard let next = state.timers.earliest, next <= end else {
                state.uptime = max(state.uptime, end)
                return false
            }
            state.uptime = max(state.uptime, next)
            Self.mix(UInt64(bitPattern: state.uptime.wholeMicroseconds), &state.digest)
            return true
        }
    }

    private static func mix(_ value: UInt64, _ digest: inout UInt64) {
        digest = (digest ^ value) &* 0x0000_0100_0000_01b3
    }
}
