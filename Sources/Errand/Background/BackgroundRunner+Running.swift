// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Logging
import ServiceContextModule
import Synchronization
import Tracing

extension BackgroundRunner {
    /// Runs an attempt as a task of its own.
    func launch(_ launch: Launch) {
        let (task, attempt, since) = (launch.task, launch.attempt, launch.since)
        let swiftTask = Task.detached(executorPreference: executor(for: task), priority: task.priority) { [self] in
            let started = clock.uptime
            metrics.started(afterWait: started - since)
            limit(task, attempt: attempt)
            let result = await attemptBody(launch.body, of: task, attempt: attempt, wait: started - since)
            attemptEnded(task, attempt: attempt, result, duration: clock.uptime - started)
        }
        launched(swiftTask, task, attempt: attempt)
    }

    /// Writes down the Swift task of an attempt, for whoever is to cancel it, and does so if somebody has wanted
    /// it already.
    func launched(_ swiftTask: Task<Void, Never>, _ task: BackgroundTask, attempt: Int) {
        let isCancelled = state.withLock { state in
            guard state.records[task.id]?.attempt == attempt else { return false }
            state.records[task.id]?.swiftTask = swiftTask
            return state.records[task.id]?.cancelReason != nil
        }
        if isCancelled { cancelRunning(swiftTask, task, at: clock.uptime) }
    }

    /// A lane of its own for each attempt, so that the watchdog can name the task.
    func executor(for task: BackgroundTask) -> WorkLane? {
        configuration.executor == .own ? WorkLane(name: task.name, pool: pool) : nil
    }

    /// Runs the work with everything bound that was captured when the task was added.
    func attemptBody(
        _ body: @escaping BackgroundTask.Body,
        of task: BackgroundTask,
        attempt: Int,
        wait: Duration
    ) async -> Result<Void, any Error> {
        var logger = task.logger
        logger.handler = FactsLogHandler(logger.handler) { self.metadata(task) }
        logger.debug("background task started", metadata: [BackgroundLog.wait: "\(wait)"])
        let context = task.context(attempt: attempt)
        do {
            try await withLogger(logger) { _ in
                try await BackgroundTasks.$current.withValue(task.scope) {
                    try await BackgroundTaskContext.$current.withValue(context) {
                        try await withTaskSpan(task, attempt: attempt, body)
                    }
                }
            }
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    private func withTaskSpan(_ task: BackgroundTask, attempt: Int, _ body: BackgroundTask.Body) async throws {
        if tracer == nil, InstrumentationSystem.instrument is NoOpInstrument {
            // Nobody traces: what was captured is bound, and no span is made.
            let context = configuration.trace == .child ? task.trace ?? .topLevel : .topLevel
            return try await ServiceContext.$current.withValue(context) { try await body() }
        }
        let tracer = tracer ?? InstrumentationSystem.tracer
        let parent = configuration.trace == .child ? task.trace ?? .topLevel : .topLevel
        let span = tracer.startAnySpan("background \(task.name)", context: parent, ofKind: .internal)
        defer { span.end() }
        if configuration.trace == .link, let trace = task.trace {
            span.addLink(SpanLink(context: trace, attributes: [:]))
        }
        if span.isRecording {
            span.attributes[BackgroundLog.id] = Int64(clamping: task.id)
            span.attributes[BackgroundLog.attempt] = Int64(attempt)
        }
        do {
            try await ServiceContext.$current.withValue(span.context) { try await body() }
        } catch {
            span.recordError(error)
            span.setStatus(SpanStatus(code: .error))
            throw error
        }
    }

    func metadata(_ task: BackgroundTask) -> Logger.Metadata {
        [
            BackgroundLog.task: "\(task.name)",
            BackgroundLog.id: "\(task.id)",
            BackgroundLog.attempt: "\(task.attempts)",
        ]
    }

    // MARK: Time

    /// Sets the one timer of an attempt: first for being slow or timed out, whichever comes first.
    func limit(_ task: BackgroundTask, attempt: Int) {
        let timeout = task.options.timeout.limit(standard: configuration.timeout)
        let slow = configuration.slowThreshold
        if let timeout, timeout <= slow {
            setTimer(task, attempt, timeout) { $0.timedOut(task, attempt: attempt, after: timeout) }
        } else {
            setTimer(task, attempt, slow) { runner in
                task.logger.warning("background task is slow", metadata: runner.metadata(task))
                guard let timeout else { return }
                runner.setTimer(task, attempt, timeout - slow) { $0.timedOut(task, attempt: attempt, after: timeout) }
            }
        }
    }

    func setTimer(
        _ task: BackgroundTask,
        _ attempt: Int,
        _ delay: Duration,
        isGrace: Bool = false,
        _ action: @escaping @Sendable (BackgroundRunner) -> Void
    ) {
        // Numbered before it is made: it may fire, and set the next one, before it is written down.
        let number = timerNumber.add(1, ordering: .relaxed).newValue
        let timer = clock.schedule(after: delay) { [weak self] in
            if let self { action(self) }
        }
        // The other one that is left over: the one before, or this one when it has fired already and set the next,
        // or when the attempt has ended meanwhile.
        let leftOver: ClockTimer? = state.withLock { state in
            guard let record = state.records[task.id], record.attempt == attempt, record.timerNumber < number,
                // An attempt may be cancelled before it has come to set its limits: the grace stands then.
                isGrace || record.cancelReason == nil
            else { return timer }
            state.records[task.id]?.timer = timer
            state.records[task.id]?.timerNumber = number
            return record.timer
        }
        leftOver?.cancel()
    }

    private func timedOut(_ task: BackgroundTask, attempt: Int, after limit: Duration) {
        let running: Task<Void, Never>? = state.withLock { state in
            guard let record = state.records[task.id], record.attempt == attempt, state.isRunning(task.id),
                record.cancelReason == nil
            else { return nil }
            state.records[task.id]?.cancelReason = .timeout
            return record.swiftTask
        }
        if let running { cancelRunning(running, task, at: clock.uptime) }
    }

    /// Cancels an attempt and, when it has not ended by the end of the grace, takes its slot away.
    func cancelRunning(_ running: Task<Void, Never>, _ task: BackgroundTask, at now: Duration) {
        let attempt = task.attempts
        setTimer(task, attempt, configuration.cancellationGrace, isGrace: true) { $0.abandon(task, attempt: attempt) }
        running.cancel()
    }

    private func abandon(_ task: BackgroundTask, attempt: Int) {
        let inline: InlineAnswer? = state.withLock { state in
            guard let record = state.records[task.id], record.attempt == attempt else { return nil }
            return record.inline
        }
        // Whoever waits for it ends it.
        if let inline { return inline.give(nil) }
        let ended: Ended? = transact { state in
            guard state.records[task.id]?.attempt == attempt, let actions = state.machine.abandon(task.id) else {
                return (nil, Machine.Actions())
            }
            let isShutdown = state.records[task.id]?.cancelReason == .shutdown
            return (state.end(task, .abandoned, isLost: isShutdown), actions)
        }
        if let ended { tellAbandoned(ended) }
    }

    /// Tells everybody about a task that ignores its cancellation.
    func tellAbandoned(_ ended: Ended) {
        let task = ended.task
        metrics.becameStuck()
        task.logger.error("background task ignores cancellation; its place is given away", metadata: metadata(task))
        announce(ended)
    }
}

extension BackgroundTask {
    fileprivate func context(attempt: Int) -> BackgroundTaskContext {
        let (status, delivery) = scope?.state.withLock { ($0.status, $0.delivery) } ?? (nil, nil)
        return BackgroundTaskContext(
            id: id,
            name: name,
            attempt: attempt,
            requestID: requestID,
            status: status,
            delivery: delivery
        )
    }
}
