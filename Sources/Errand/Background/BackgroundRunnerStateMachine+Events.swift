// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension BackgroundRunnerStateMachine {
    /// What is known about the task that another one is to follow.
    enum Dependency {
        case none
        case pending(TaskID)
        case succeeded
        case missed
    }

    /// A task as it arrives.
    struct Arrival {
        let id: TaskID
        var dependency: Dependency = .none
        var attempts = 1
    }

    /// Tasks that run in order, up to `width` of them at once.
    struct Line {
        var tasks: [Arrival]
        var width = 1
    }

    /// Who brings tasks, which decides what a full queue means.
    enum Origin {
        /// A response that was written: its connection can be held.
        case connection
        /// A request that cannot be held at this point; its connection is held later.
        case request
        /// Nobody who could be held.
        case outside
    }

    enum Submission: Equatable {
        case accepted
        /// Accepted beyond the bound: hold the connection when that is possible.
        case acceptedOverLimit
        /// The caller waits until this hold is in `Actions.admitted`.
        case held(HoldID)
        /// The caller is to run the tasks itself.
        case callerRuns
        /// These were not taken, the others were.
        case shed([TaskID])
        /// Shutdown; none was taken.
        case refused
    }

    enum Result {
        case succeeded
        case failed
        /// Failed in a way that must not be tried again, or cancelled.
        case final
    }

    enum Verdict: Equatable {
        /// The task has ended.
        case ended
        /// Call `retryDue` after the delay.
        case retryLater
        /// Shutdown leaves no time to wait: it is in line again at once, for one last attempt.
        case lastChance
        /// The task's place was given away before; nothing changes.
        case unknown
    }

    struct Actions {
        var start: [TaskID] = []
        var skip: [TaskID] = []
        var admitted: [HoldID] = []
        /// How the number of queued and of running tasks changed.
        var queued = 0
        var running = 0
    }
}
