// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Logging

/// Who runs the steps of a worker's tasks: threads of its own, or, in a simulation, whoever decides what comes next.
package struct WorkerRunners: Sendable {
    /// The handlers.
    package var handlers: any LaneRunner
    /// Claims, notes, maintenance and shutdown.
    package var control: any LaneRunner
    /// Beats, apart from everything that could make the worker miss them.
    package var beats: any LaneRunner

    package init(handlers: any LaneRunner, control: any LaneRunner, beats: any LaneRunner) {
        self.handlers = handlers
        self.control = control
        self.beats = beats
    }

    var all: [any LaneRunner] { [handlers, control, beats] }

    /// Threads of the worker's own; handlers that hold one for too long are named in the log.
    static func threads(
        for configuration: WorkerConfiguration,
        clock: any ErrandClock,
        events: EventHub,
        logger: Logger
    ) -> WorkerRunners {
        let watch = BlockingWatch(threshold: configuration.blockingThreshold, clock: clock) { lane, duration in
            logger.warning(
                "a handler holds a thread without suspending; move the blocking call to a thread of its own",
                metadata: [LogKeys.jobName: "\(lane)", LogKeys.duration: "\(duration.inSeconds)"]
            )
            events.publish(.blocking(JobName(lane), duration))
        }
        let threads = configuration.threads ?? max(SystemFacts.cores, 2)
        return WorkerRunners(
            handlers: ThreadPool(threads: threads, name: "errand-job", clock: clock, watch: watch),
            control: ThreadPool(threads: 2, name: "errand-control", clock: clock),
            beats: ThreadPool(threads: 1, name: "errand-beat", clock: clock)
        )
    }
}
