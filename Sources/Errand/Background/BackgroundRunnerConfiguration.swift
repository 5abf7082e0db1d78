// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation

/// What bounds background tasks and how long things may take.
///
/// The defaults suit a web service on a machine of its own.
public struct BackgroundRunnerConfiguration: Sendable {
    /// How many tasks run at once, those of different requests side by side.
    ///
    /// Default 64. Raise it when tasks mostly wait for other services and `background_tasks_wait` grows.
    public var concurrency = 64

    /// How many tasks may wait for their turn.
    ///
    /// Default 10,000. What happens when it is reached is ``overflow``.
    public var queueLimit = 10_000

    /// What happens to the tasks of a request when the queue is full.
    ///
    /// Default ``BackgroundOverflow/wait``.
    public var overflow: BackgroundOverflow = .wait

    /// How many tasks one request may add.
    ///
    /// Default 1,000. The tasks beyond it still run, but out of line, and an error is logged: a loop is adding
    /// them. Enqueue many jobs at once instead.
    public var tasksPerRequest = 1000

    /// How long an attempt may take when its task does not say.
    ///
    /// Default 5 minutes; `nil` for no limit.
    public var timeout: Duration? = .minutes(5)

    /// How long a task may take to end after its timeout has cancelled it.
    ///
    /// Default 5 s. Then its place is given to another, an error is logged and `background_stuck` counts it.
    public var cancellationGrace: Duration = .seconds(5)

    /// After how long a task that still runs is logged as slow.
    ///
    /// Default 30 s.
    public var slowThreshold: Duration = .seconds(30)

    /// Where tasks run.
    ///
    /// Default ``BackgroundExecutor/own``.
    public var executor: BackgroundExecutor = .own

    /// How many threads of their own tasks have.
    ///
    /// Default: one per core, at least 2.
    public var executorThreads = max(ProcessInfo.processInfo.activeProcessorCount, 2)

    /// How many calls of `addBlocking` run at once, each on a thread of its own.
    ///
    /// Default 16.
    public var blockingThreads = 16

    /// After how long a task that holds its thread without suspending is logged.
    ///
    /// Default 100 ms, noticed up to 50 ms later.
    public var blockingThreshold: Duration = .milliseconds(100)

    /// How often to measure how long a task waits for Swift's shared pool, where requests are answered.
    ///
    /// Default 100 ms; `nil` to never measure.
    public var sharedPoolProbe: Duration? = .milliseconds(100)

    /// A measured wait at least this long is logged as a warning.
    ///
    /// Default 250 ms.
    public var sharedPoolThreshold: Duration = .milliseconds(250)

    /// How long the store may take to write the jobs that a request staged with `enqueue`.
    ///
    /// Default 5 s; then the response becomes 503.
    public var flushTimeout: Duration = .seconds(5)

    /// How long queued and running tasks may go on at shutdown.
    ///
    /// Default 20 s; less when the server has used up the time, see ``shutdownDeadline``.
    public var drain: Duration = .seconds(20)

    /// How long cancelled tasks may take to end after the drain.
    ///
    /// Default 5 s.
    public var drainGrace: Duration = .seconds(5)

    /// How long the whole shutdown may take, from the moment the server is told to stop.
    ///
    /// Default 25 s: under the 30 s after which Kubernetes kills.
    public var shutdownDeadline: Duration = .seconds(25)

    /// How a task's span is tied to the request that added it.
    ///
    /// Default ``BackgroundTrace/child``.
    public var trace: BackgroundTrace = .child

    /// The defaults.
    public init() {}
}

/// What happens to the tasks of a request when the queue is full.
public enum BackgroundOverflow: String, Sendable, Hashable {
    /// The connection that submits them waits, and with it only its client's next request. Nothing is
    /// dropped.
    case wait
    /// The tasks that do not fit are dropped: logged as errors and counted.
    case shed
    /// The connection that submits them runs them itself, one after another, and waits for them: for each attempt
    /// at most its timeout and ``BackgroundRunnerConfiguration/cancellationGrace``.
    case callerRuns
}

/// Where background tasks run.
public enum BackgroundExecutor: String, Sendable, Hashable {
    /// On threads of the runner's own, so that a task that blocks or computes delays no request.
    case own
    /// On Swift's shared pool, next to the handlers: 1 to 2 µs less per task, and no protection.
    case shared
}

/// How a task's span is tied to the request that added it.
public enum BackgroundTrace: String, Sendable, Hashable {
    /// A child of the request's span, in the same trace.
    case child
    /// The start of a trace of its own, with a link to the request's span.
    case link
}
