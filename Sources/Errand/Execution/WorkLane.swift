// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Runs the steps of tasks that come along lanes: a ``ThreadPool``, or a simulation in its place.
package protocol LaneRunner: Sendable {
    /// Runs one step of a task, with `lane` as its executor.
    func enqueue(_ job: UnownedJob, lane: WorkLane)

    /// Takes no more work of its own; steps that still come must not be lost.
    func stop(whenDone: (@Sendable () -> Void)?)
}

/// The way of tasks of one name onto the threads of a pool: the name and the pool.
///
/// Each job name and each background task has a lane of its own, which its tasks prefer as their executor. So every
/// step they take arrives at the pool under that name, and a thread that is held for long can be blamed on somebody. Child tasks and default actors follow the preference; `Task {}` inside the work and actors
/// with executors of their own do not.
package final class WorkLane: TaskExecutor {
    /// Whom to blame: the name of the job or the background task.
    package let name: String
    private let pool: any LaneRunner
    /// Whether nobody waits for the next step.
    private let isNextPatient: Atomic<Bool>

    /// - Parameters:
    ///   - name: Whom to blame.
    ///   - pool: Runs the steps.
    ///   - isPatient: Whether the first step may come a moment later, so that a thread takes several in one go. Who
    ///     has started waits for what comes next.
    package init(name: String, pool: any LaneRunner, isPatient: Bool = false) {
        self.name = name
        self.pool = pool
        isNextPatient = Atomic(isPatient)
    }

    /// Whether the step that is put in the line now is patient.
    func isPatient() -> Bool {
        isNextPatient.load(ordering: .relaxed) && isNextPatient.exchange(false, ordering: .relaxed)
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        pool.enqueue(UnownedJob(job), lane: self)
    }
}
