// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule
package import ErrandCore
import Synchronization

/// A fixed number of threads of our own with one line of work in front of them, first come first served.
///
/// Handlers and background tasks run here (through a ``WorkLane`` each), and so does code that blocks
/// (``runBlocking(_:onStart:)``), so that neither can starve the threads that answer requests. Threads start
/// when they are first needed. The line itself has no bound: whoever submits bounds how much runs at once.
package final class ThreadPool: LaneRunner {
    /// What the threads are called in debuggers, with a number behind it.
    package let name: String
    /// How many threads there are at most.
    package let threads: Int
    /// The clock that waits are measured with.
    package let clock: any ErrandClock
    private let shared: Shared
    private let watch: BlockingWatch?

    /// A pool of up to `threads` threads (at least 1).
    ///
    /// With a `watch`, lanes that hold a thread for too long are reported to it.
    package init(threads: Int, name: String, clock: any ErrandClock, watch: BlockingWatch? = nil) {
        self.threads = max(threads, 1)
        self.name = name
        self.clock = clock
        self.watch = watch
        shared = Shared(threads: self.threads, isWatched: watch != nil)
    }

    deinit { stop() }

    /// Runs `work` on one of the threads.
    /// - Returns: `false` when the pool is stopped and the work will not run.
    @discardableResult
    package func submit(_ work: @escaping @Sendable () -> Void) -> Bool {
        put(.closure(work))
    }

    /// Runs one step of a task.
    ///
    /// On a stopped pool it runs on the shared threads instead: a task that is never resumed would hang whoever
    /// awaits it.
    package func enqueue(_ job: UnownedJob, lane: WorkLane) {
        if !put(.job(job, lane)) { globalConcurrentExecutor.enqueue(job) }
    }

    /// Takes no more work; the threads finish the line and end.
    ///
    /// `whenDone` is called once, by the last thread or, when none runs, at once. Threads cannot be stopped from
    /// outside: one that hangs in its work keeps `whenDone` waiting.
    package func stop(whenDone: (@Sendable () -> Void)? = nil) {
        let isDone = shared.stop(whenDone: whenDone)
        if isDone { whenDone?() }
    }

    /// How many pieces of work wait for a thread.
    package var waiting: Int { shared.waiting }

    private func put(_ work: Work) -> Bool {
        let placed = shared.put(work)
        if let thread = placed.newThread {
            let shared = shared
            if !OSThread.start(named: "\(name)-\(thread)", { shared.serve(thread: thread) }) {
                // The system has no thread left. Work that nobody will come for runs where it should not, rather
                // than never.
                for work in shared.threadFailed(thread) {
                    switch work {
                    case .closure(let body): Task.detached { body() }
                    case .job(let job, _): globalConcurrentExecutor.enqueue(job)
                    }
                }
            }
        }
        if placed.startsWatch, let watch {
            let shared = shared
            watch.start { shared.sample() }
        }
        return placed.isAccepted
    }
}

extension ThreadPool {
    enum Work {
        case closure(@Sendable () -> Void)
        case job(UnownedJob, WorkLane)
    }

    struct Placed {
        var isAccepted = false
        var newThread: Int?
        var startsWatch = false
    }

    /// What the threads share; it outlives the pool until they have ended.
    private final class Shared: Sendable {
        private struct State {
            var line: Deque<Work> = []
            /// Per thread: whether it exists, and the lane it runs.
            var started: [Bool]
            var holding: [WorkLane?]
            /// Per thread: raised with each piece of work, so that the watch can tell one long stretch from
            /// many short ones without anybody reading a clock.
            var stretch: [UInt64]
            var running = 0
            var idle = 0
            var isStopped = false
            var isWatching = false
            var whenDone: [@Sendable () -> Void] = []
        }

        // guard: `condition`'s lock.
        nonisolated(unsafe) private var state: State
        private let condition = ThreadCondition()
        private let isWatched: Bool
        /// The length of the line, for threads that look without the lock.
        private let length = Atomic<Int>(0)

        init(threads: Int, isWatched: Bool) {
            self.isWatched = isWatched
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

        func put(_ work: Work) -> Placed {
            condition.lock()
            defer { condition.unlock() }
            guard !state.isStopped else { return Placed() }
            state.line.append(work)
            length.store(state.line.count, ordering: .relaxed)
            var placed = Placed(isAccepted: true)
            if state.idle >= state.line.count {
                condition.signal()
            } else if state.running < state.started.count, let thread = state.started.firstIndex(of: false) {
                state.started[thread] = true
                state.running += 1
                placed.newThread = thread
            } else if state.idle > 0 {
                condition.signal()
            }
            if isWatched && !state.isWatching {
                state.isWatching = true
                placed.startsWatch = true
            }
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
            if state.line.isEmpty && !state.isStopped {
                condition.unlock()
                linger()
                condition.lock()
            }
            while state.line.isEmpty && !state.isStopped {
                state.idle += 1
                condition.wait()
                state.idle -= 1
            }
            let work = state.line.popFirst()
            length.store(state.line.count, ordering: .relaxed)
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
            // Released outside the lock: the lane may be the last thing alive of its task.
            withExtendedLifetime(last) {}
            for action in done { action() }
            return work
        }

        /// Waits some microseconds for more work, giving the core to whoever wants it. Steps of short jobs come in
        /// quick succession, and to fall asleep and be woken costs both sides more than such a step.
        private func linger() {
            for _ in 0..<Self.looks where length.load(ordering: .relaxed) == 0 { OSThread.yield() }
        }

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
