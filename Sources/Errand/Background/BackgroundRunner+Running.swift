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
        let swiftTask = Task.detached(executorPreference: executor(for: task, isPatient: true), priority: task.priority)
        { [self] in
            let started = clock.uptime
            metrics.started(afterWait: started - since)
            limit(task, attempt: attempt, at: started)
            let result = await attemptBody(launch.body, of: task, attempt: attempt, wait: started - since)
            attemptEnded(task, attempt: attempt, result, started: started)
        }
        launched(swiftTask, task, attempt: attempt)
    }

    /// Writes down the Swift task of an attempt, for whoever is to cancel it, and does so if somebody has wanted
    /// it already.
    func launched(_ swiftTask: Task<Void, Never>, _ task: BackgroundTask, attempt: Int) {
        if task.launched(swiftTask, attempt: attempt) { cancelRunning(swiftTask, task, at: clock.uptime) }
    }

    /// A lane of its own for each attempt, so that the watchdog can name the task.
    func executor(for task: BackgroundTask, isPatient: Bool = false) -> WorkLane? {
        configuration.executor == .own ? WorkLane(name: task.name, pool: pool, isPatient: isPatient) : nil
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
            // Nobody traces: what was captured, if anything was, is bound, and no span is made.
            guard configuration.trace == .child, let context = task.trace else { return try await body() }
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

    /// Sets the timer of a task between its attempts, or of the grace of one that was cancelled.
    func setTimer(
        _ task: BackgroundTask,
        _ attempt: Int,
        _ delay: Duration,
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
            guard let record = state.records[task.id], record.attempt == attempt, record.timerNumber < number else {
                return timer
            }
            state.records[task.id]?.timer = timer
            state.records[task.id]?.timerNumber = number
            return record.timer
        }
        leftOver?.cancel()
    }

    /// Cancels an attempt and, when it has not ended by the end of the grace, takes its slot away.
    func cancelRunning(_ running: Task<Void, Never>, _ task: BackgroundTask, at now: Duration) {
        let attempt = task.attempts
        setTimer(task, attempt, configuration.cancellationGrace) { $0.abandon(task, attempt: attempt) }
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
            return (state.end(task, .abandoned, isLost: task.endAttempt() == .shutdown), actions)
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
        return BackgroundTaskContext(task: self, attempt: attempt, status: status, delivery: delivery)
    }
}
