// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The way of tasks of one name onto the threads of a pool: the name and the pool.
///
/// Each job name and each background task has a lane of its own, which its tasks prefer as their executor. So every
/// step they take arrives at the pool under that name, and a thread that is held for long can be blamed on somebody. Child tasks and default actors follow the preference; `Task {}` inside the work and actors
/// with executors of their own do not.
package final class WorkLane: TaskExecutor {
    /// Whom to blame: the name of the job or the background task.
    package let name: String
    private let pool: ThreadPool

    package init(name: String, pool: ThreadPool) {
        self.name = name
        self.pool = pool
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        pool.enqueue(UnownedJob(job), lane: self)
    }
}
