// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The way of one task onto the threads of a pool: a name and the pool.
///
/// Each running job or background task has a lane of its own and prefers it as its executor. So every step
/// the task takes arrives at the pool under the task's name, and a thread that is held for long can be blamed
/// on somebody. Child tasks and default actors follow the preference; `Task {}` inside the work and actors
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
