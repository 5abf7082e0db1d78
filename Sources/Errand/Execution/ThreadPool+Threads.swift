// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule
import ErrandCore
import Synchronization

extension ThreadPool {
    /// What the threads share; it outlives the pool until they have ended.
    final class Shared: Sendable {
        private struct State {
            var line: Deque<Work> = []
            /// Per thread: whether it exists, and the lane it runs.
            var started: [Bool]
            var holding: [WorkLane?]
            /// Per thread: raised with each piece of work, so that the watch can tell one long stretch from
            /// many short ones without anybody reading a clock.
            var stretch: [UInt64]
            var running = 0
            /// Threads that sleep until somebody wakes them, or for a nap.
            var idle = 0
            /// Those of them that wake up by themselves.
            var napping = 0
            /// Threads that have nothing to do but have not fallen asleep yet.
            var looking = 0
            var isStopped = false
            var isWatching = false
            var whenDone: [@Sendable () -> Void] = []

            var isIdle: Bool { line.isEmpty && !isStopped }
        }

        // guard: `condition`'s lock.
        nonisolated(unsafe) private var state: State
        private let condition = ThreadCondition()
        private let isWatched: Bool
        private let nap: Duration?
        /// The length of the line, for threads that look without the lock.
        private let length = Atomic<Int>(0)

        init(threads: Int, isWatched: Bool, nap: Duration?) {
            self.isWatched = isWatched
            self.nap = nap
            state = State(
                started: Array(repeating: false, count: threads),
                holding: Array(repeating: nil, count: threads),
                stretch: Array(repeating: 0, count: threads)
            )
        }

        var waiting: Int {
            condition.lock()
            defer { condition.unlock() }
            return state.line.count
        }

        /// Puts work in the line and sees to it that a thread comes for it.
        /// - Parameter isPatient: A thread that looks again soon by itself is not woken.
        func put(_ work: Work, isPatient: Bool) -> Placed {
            condition.lock()
            guard !state.isStopped else {
                condition.unlock()
                return Placed()
            }
            state.line.append(work)
            length.store(state.line.count, ordering: .relaxed)
            var placed = Placed(isAccepted: true)
            var wakesOne = false
            let count = state.line.count
            if state.looking >= count || isPatient && state.looking + state.napping > 0 {
                // Somebody is coming already.
            } else if state.idle + state.looking >= count {
                wakesOne = true
            } else if state.running < state.started.count, let thread = state.started.firstIndex(of: false) {
                state.started[thread] = true
                state.running += 1
                placed.newThread = thread
            } else {
                wakesOne = state.idle > 0
            }
            if isWatched && !state.isWatching {
                state.isWatching = true
                placed.startsWatch = true
            }
            condition.unlock()
            // After the lock: who wakes up inside of it only falls asleep in front of it again.
            if wakesOne { condition.signal() }
            return placed
        }

        /// Takes back a thread that did not start.
        /// - Returns: What waits, when there is no other thread to do it.
        func threadFailed(_ thread: Int) -> Deque<Work> {
            condition.lock()
            defer { condition.unlock() }
            state.started[thread] = false
            state.running -= 1
            guard state.running == 0 else { return [] }
            defer { state.line = [] }
            return state.line
        }

        func stop(whenDone: (@Sendable () -> Void)?) -> Bool {
            condition.lock()
            defer { condition.unlock() }
            state.isStopped = true
            if state.running == 0 { return true }
            if let whenDone { state.whenDone.append(whenDone) }
            condition.broadcast()
            return false
        }

        func serve(thread: Int) {
            while let work = next(for: thread) {
                switch work {
                case .closure(let body): body()
                case .job(let job, let lane): job.runSynchronously(on: lane.asUnownedTaskExecutor())
                }
            }
        }

        /// The next piece of work for this thread, after sleeping if there is none; `nil` to end.
        ///
        /// The lane is written down under the lock that is taken anyway, so watching costs a piece of work
        /// nothing.
        private func next(for thread: Int) -> Work? {
            condition.lock()
            let last = state.holding[thread]
            state.holding[thread] = nil
            if state.isIdle { rest() }
            while state.isIdle {
                state.idle += 1
                condition.wait()
                state.idle -= 1
            }
            let work = state.line.popFirst()
            length.store(state.line.count, ordering: .relaxed)
            // Patient work may have woken nobody; this thread is busy now.
            let wakesOne = nap != nil && !state.line.isEmpty && state.idle > 0 && state.looking + state.napping == 0
            if case .job(_, let lane) = work {
                state.holding[thread] = lane
                state.stretch[thread] &+= 1
            }
            var done: [@Sendable () -> Void] = []
            if work == nil {
                state.running -= 1
                state.started[thread] = false
                if state.running == 0 { swap(&done, &state.whenDone) }
            }
            condition.unlock()
            if wakesOne { condition.signal() }
            // Released outside the lock: the lane may be the last thing alive of its task.
            withExtendedLifetime(last) {}
            for action in done { action() }
            return work
        }

        /// What a thread does before it sleeps for good: steps of short jobs come in quick succession, and to fall
        /// asleep and be woken costs both sides more than such a step.
        ///
        /// With the lock held, before and after.
        private func rest() {
            if let nap { doze(nap) } else { linger() }
        }

        /// Waits some microseconds for more work, giving the core to whoever wants it.
        private func linger() {
            state.looking += 1
            condition.unlock()
            for _ in 0..<Self.looks where length.load(ordering: .relaxed) == 0 { OSThread.yield() }
            condition.lock()
            state.looking -= 1
        }

        /// Sleeps for a moment. One thread does so that patient work starts soon; further ones for longer, only in case
        /// that one is held up by what it runs.
        private func doze(_ nap: Duration) {
            let length = state.napping == 0 ? nap : nap * Self.longNaps
            state.idle += 1
            state.napping += 1
            condition.wait(atMost: length)
            state.napping -= 1
            state.idle -= 1
        }

        private static let longNaps = 5

        /// How often a thread looks before it sleeps: some microseconds; more of it costs a busy machine more than it
        /// saves.
        private static let looks = 3

        /// Who holds which thread; `nil`, and the watch ends, when nobody does and nobody waits.
        func sample() -> [BlockingWatchStateMachine.Sample]? {
            condition.lock()
            defer { condition.unlock() }
            let samples = state.holding.indices.compactMap { thread in
                state.holding[thread]
                    .map {
                        BlockingWatchStateMachine.Sample(thread: thread, stretch: state.stretch[thread], lane: $0.name)
                    }
            }
            if samples.isEmpty && state.line.isEmpty {
                state.isWatching = false
                return nil
            }
            return samples
        }
    }
}
