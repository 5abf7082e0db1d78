// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import Logging
import ErrandCore
import ServiceContextModule
import Synchronization

/// The background tasks of one request: collected while it is answered, handed to the runner when its response
/// has been written.
///
/// One object per request, whatever adds to it: middleware, handlers, the services they call, streaming
/// bodies, and tasks themselves. What is added after the response was written runs at once; nothing is
/// ignored.
public final class BackgroundTasks: Sendable {
    /// The one of the request that is being answered; `nil` outside requests.
    ///
    /// Child tasks and `Task {}` see it. `Task.detached` and callbacks of event loops do not: hand the object
    /// to them.
    @TaskLocal public static var current: BackgroundTasks?

    struct State {
        var logger: Logger
        /// Made for a request that no responder has taken yet.
        var isAdoptable = false
        /// Set when the runner has the tasks.
        ///
        /// From then on each addition is handed over at once.
        var isHandedOver = false
        var status: Int?
        var delivery: BackgroundDelivery?
        var tasks: [BackgroundTask] = []
        var width = 1
        /// How many tasks were added in all.
        var count = 0
        var reserved = 0
        /// Whether something went to the runner beyond its bound, for which the connection is held later.
        var isOverLimit = false
        var isLimitLogged = false
        var staged: [StagedJob] = []

        /// Whether nothing was given to do.
        var isIdle: Bool { tasks.isEmpty && staged.isEmpty && !isOverLimit && reserved == 0 }

        /// Ends the collecting when there is nothing to hand over.
        mutating func closeIfIdle(_ delivery: BackgroundDelivery) -> Bool {
            guard isIdle else { return false }
            if !isHandedOver { (isHandedOver, self.delivery) = (true, delivery) }
            return true
        }
    }

    package let runner: BackgroundRunner
    let state: Mutex<State>

    /// The tasks of a request whose log lines go to `logger`, with the request's id in its metadata.
    package init(runner: BackgroundRunner, logger: Logger, isHandedOver: Bool = false) {
        self.runner = runner
        state = Mutex(State(logger: logger, isHandedOver: isHandedOver))
    }

    /// The tasks of a request that nobody has read yet: what makes them also sees the end of the response. Whoever
    /// answers the request adopts them.
    package init(ofUnreadRequestFor runner: BackgroundRunner) {
        self.runner = runner
        state = Mutex(State(logger: runner.logger, isAdoptable: true))
    }

    /// Makes them the tasks of the request that this runner's responder answers now.
    /// - Returns: False when they are another's, or somebody has answered already.
    package func adopt(by runner: BackgroundRunner, logger: Logger) -> Bool {
        guard runner === self.runner else { return false }
        return state.withLock { state in
            guard state.isAdoptable else { return false }
            state.isAdoptable = false
            state.logger = logger
            return true
        }
    }

    var logger: Logger { state.withLock { $0.logger } }

    /// The file-and-line name of a task that was given none.
    static func name(_ name: String?, _ file: String, _ line: Int) -> String { name ?? "\(file):\(line)" }

    /// Makes a task with everything captured that must not be read later: after the response, `Logger.current`
    /// has lost the request's id, and task-locals are back to their defaults.
    func makeTask(
        _ name: String,
        _ options: BackgroundTask.Options,
        _ body: @escaping BackgroundTask.Body
    ) -> BackgroundTask {
        var captured = logger
        let bound = Logger.current.handler.metadata
        if !bound.isEmpty { captured.handler = FactsLogHandler(captured.handler) { bound } }
        return BackgroundTask(
            id: runner.makeID(),
            name: name,
            options: options,
            logger: captured,
            trace: ServiceContext.current,
            priority: Task.currentPriority,
            scope: self,
            body: body
        )
    }

    private enum Placement {
        case kept
        case late(overTaskLimit: Bool)
        case refused
    }

    /// Keeps a task for the hand-over, or hands it over at once when that has happened.
    func add(_ task: BackgroundTask, isImmediate: Bool = false) -> BackgroundTaskHandle {
        let limit = runner.configuration.tasksPerRequest
        let mostKept = max(limit, runner.configuration.queueLimit)
        let (placement, logsLimit): (Placement, Bool) = state.withLock { state in
            state.count += 1
            let logsLimit = state.count > limit && !state.isLimitLogged
            if logsLimit { state.isLimitLogged = true }
            if isImmediate || state.isHandedOver { return (.late(overTaskLimit: state.count > limit), logsLimit) }
            guard state.tasks.count < mostKept else { return (.refused, logsLimit) }
            state.tasks.append(task)
            return (.kept, logsLimit)
        }
        if logsLimit {
            task.logger.error(
                "too many background tasks in one request; a loop is adding them: enqueue jobs instead",
                metadata: [BackgroundLog.count: "\(limit)", BackgroundLog.task: "\(task.name)"]
            )
        }
        switch placement {
        case .kept: break
        case .late: handOverLate(task, isImmediate: isImmediate)
        case .refused: runner.drop(task, .queueFull)
        }
        return BackgroundTaskHandle(task: task, runner: runner)
    }

    private func handOverLate(_ task: BackgroundTask, isImmediate: Bool) {
        let (status, delivery) = state.withLock { ($0.status, $0.delivery) }
        if !isImmediate {
            task.logger.debug(
                "background task added after the response",
                metadata: [BackgroundLog.task: "\(task.name)"]
            )
            guard task.options.when.holds(status: status ?? 200, delivery: delivery ?? .complete) else {
                runner.drop(task, .condition)
                return
            }
        }
        if runner.submitLate(task) { state.withLock { $0.isOverLimit = true } }
    }
}
