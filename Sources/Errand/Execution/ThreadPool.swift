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
    /// With a `watch`, lanes that hold a thread for too long are reported to it. With a `nap`, a thread that has
    /// nothing to do any more looks again after that long before it sleeps, and patient lanes wait for it instead of
    /// waking it.
    package init(
        threads: Int,
        name: String,
        clock: any ErrandClock,
        watch: BlockingWatch? = nil,
        nap: Duration? = nil
    ) {
        self.threads = max(threads, 1)
        self.name = name
        self.clock = clock
        self.watch = watch
        shared = Shared(threads: self.threads, isWatched: watch != nil, nap: nap)
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
        if !put(.job(job, lane), isPatient: lane.isPatient()) { globalConcurrentExecutor.enqueue(job) }
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

    private func put(_ work: Work, isPatient: Bool = false) -> Bool {
        let placed = shared.put(work, isPatient: isPatient)
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
}
