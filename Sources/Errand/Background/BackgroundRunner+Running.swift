// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Logging
import ServiceContextModule
import Synchronization
import Tracing

extension BackgroundRunner {
    /// Begins the next attempt of a task that was given a slot.
    func launch(_ task: BackgroundTask) {
        guard let (body, attempt) = task.beginAttempt() else { return }
        let since = state.withLock { state in
            state.records[task.id]?.attempt = attempt
            state.records[task.id]?.timer = nil
            return state.records[task.id]?.since ?? .zero
        }
        let swiftTask = Task.detached(executorPreference: executor(for: task), priority: task.priority) { [self] in
            let started = clock.uptime
            metrics.started(afterWait: started - since)
            limit(task, attempt: attempt)
            let result = await attemptBody(body, of: task, attempt: attempt, wait: started - since)
            attemptEnded(task, attempt: attempt, result, duration: clock.uptime - started)
        }
        let isCancelled = state.withLock { state in
            guard state.records[task.id]?.attempt == attempt else { return false }
            state.records[task.id]?.swiftTask = swiftTask
            return state.records[task.id]?.cancelReason != nil
        }
        if isCancelled { cancelRunning(swiftTask, task, at: clock.uptime) }
    }

    /// A lane of its own for each attempt, so that the watchdog can name the task.
    private func executor(for task: BackgroundTask) -> WorkLane? {
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
        logger[metadataKey: BackgroundLog.task] = "\(task.name)"
        logger[metadataKey: BackgroundLog.id] = "\(task.id)"
        logger[metadataKey: BackgroundLog.attempt] = "\(attempt)"
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
        let tracer = tracer ?? InstrumentationSystem.tracer
        let parent = configuration.trace == .child ? task.trace ?? .topLevel : .topLevel
        let span = tracer.startAnySpan("background \(task.name)", context: parent, ofKind: .internal)
        defer { span.end() }
        if configuration.trace == .link, let trace = task.trace {
            span.addLink(SpanLink(context: trace, attributes: [:]))
        }
        span.attributes[BackgroundLog.id] = Int64(clamping: task.id)
        span.attributes[BackgroundLog.attempt] = Int64(attempt)
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
    private func limit(_ task: BackgroundTask, attempt: Int) {
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

    private func setTimer(
        _ task: BackgroundTask,
        _ attempt: Int,
        _ delay: Duration,
        _ action: @escaping @Sendable (BackgroundRunner) -> Void
    ) {
        let timer = clock.schedule(after: delay) { [weak self] in
            if let self { action(self) }
        }
        // The other one that is left over: the one before, or this one when the attempt has ended meanwhile.
        let leftOver: ClockTimer? = state.withLock { state in
            guard let record = state.records[task.id], record.attempt == attempt else { return timer }
            state.records[task.id]?.timer = timer
            return record.timer
        }
        leftOver?.cancel()
    }

    private func timedOut(_ task: BackgroundTask, attempt: Int, after limit: Duration) {
        let running: Task<Void, Never>? = state.withLock { state in
            guard let record = state.records[task.id], record.attempt == attempt, state.machine.isRunning(task.id),
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
        setTimer(task, attempt, configuration.cancellationGrace) { $0.abandon(task, attempt: attempt) }
        running.cancel()
    }

    private func abandon(_ task: BackgroundTask, attempt: Int) {
        let ended: Ended? = transact { state in
            guard state.records[task.id]?.attempt == attempt, let actions = state.machine.abandon(task.id) else {
                return (nil, Machine.Actions())
            }
            let isShutdown = state.records[task.id]?.cancelReason == .shutdown
            return (state.end(task, .abandoned, isLost: isShutdown), actions)
        }
        guard let ended else { return }
        metrics.becameStuck()
        task.logger.error("background task ignores cancellation; its place is given away", metadata: metadata(task))
        announce(ended)
    }

    // MARK: Ending

    private func attemptEnded(
        _ task: BackgroundTask,
        attempt: Int,
        _ result: Result<Void, any Error>,
        duration: Duration
    ) {
        struct End {
            var ended: Ended?
            var retry: Duration?
            var error: (any Error)?
        }
        let now = clock.uptime
        let end: End = transact { state in
            guard let record = state.records[task.id], record.attempt == attempt else {
                return (End(), Machine.Actions())
            }
            record.timer?.cancel()
            state.records[task.id]?.timer = nil
            state.records[task.id]?.swiftTask = nil
            state.records[task.id]?.cancelReason = nil
            let (outcome, kind) = self.outcome(of: result, record.cancelReason, task)
            let (verdict, actions) = state.machine.ended(task.id, kind)
            var end = End()
            if case .failed(let error) = outcome { end.error = error }
            switch verdict {
            case .ended:
                end.ended = state.end(task, outcome, isLost: record.cancelReason == .shutdown && !outcome.isSuccess)
            case .retryLater:
                end.retry = chance.draw { task.options.retry.backoff.wait(afterFailure: attempt, using: &$0) }
                state.records[task.id]?.since = now + (end.retry ?? .zero)
            case .lastChance:
                end.retry = .zero
                state.records[task.id]?.since = now
            case .unknown: break
            }
            return (end, actions)
        }
        if let retry = end.retry { retryLater(task, attempt: attempt, after: retry, end.error) }
        if let ended = end.ended { finish(ended, duration: duration) }
    }

    private func outcome(
        of result: Result<Void, any Error>,
        _ reason: CancelReason?,
        _ task: BackgroundTask
    ) -> (BackgroundTaskOutcome, Machine.Result) {
        switch (result, reason) {
        case (.success, _): return (.succeeded, .succeeded)
        case (.failure, .handle), (.failure, .shutdown): return (.cancelled, .final)
        case (.failure(let error), .timeout):
            let limit = task.options.timeout.limit(standard: configuration.timeout) ?? .zero
            let timedOut = BackgroundError(.timedOut, "'\(task.name)' was cancelled after \(limit)", cause: error)
            return (.failed(timedOut), .failed)
        case (.failure(let error), nil): return (.failed(error), .failed)
        }
    }

    private func retryLater(_ task: BackgroundTask, attempt: Int, after delay: Duration, _ error: (any Error)?) {
        var metadata = metadata(task)
        metadata[BackgroundLog.attempt] = "\(attempt)"
        metadata[BackgroundLog.delay] = "\(delay)"
        if let error { metadata.add(error) }
        task.logger.warning("background task failed and will be tried again", metadata: metadata)
        guard delay > .zero else {
            transact { ((), $0.machine.retryDue(task.id)) }
            return
        }
        setTimer(task, attempt, delay) { runner in
            runner.transact { ((), $0.machine.retryDue(task.id)) }
        }
    }

    /// Tells everybody about a task that ran and has ended.
    private func finish(_ ended: Ended, duration: Duration) {
        let task = ended.task
        metrics.ended(name: task.name, outcome: ended.outcome, duration: duration)
        var metadata = metadata(task)
        metadata[BackgroundLog.duration] = "\(duration)"
        switch ended.outcome {
        case .failed(let error):
            metadata.add(error)
            task.logger.error("background task failed", metadata: metadata)
            onFailure?(task.report, error)
        case .cancelled:
            task.logger.info("background task cancelled", metadata: metadata)
        default:
            task.logger.debug("background task finished", metadata: metadata)
        }
        for waiter in ended.waiters { waiter.resume(returning: ended.outcome) }
    }

    // MARK: In line with the caller

    /// Runs tasks one after another while the caller waits, with no waits between attempts: modes for tests,
    /// and the overflow policy `.callerRuns`.
    /// - Returns: The errors of tasks that failed for good.
    @discardableResult
    func runInline(_ tasks: [BackgroundTask]) async -> [any Error] {
        var errors: [any Error] = []
        for task in tasks {
            if let other = task.options.after?.task, other.result?.isSuccess != true {
                if let ended = state.withLock({ $0.end(task, .skipped) }) { announce(ended) }
                continue
            }
            if let error = await runInline(task) { errors.append(error) }
        }
        return errors
    }

    private func runInline(_ task: BackgroundTask) async -> (any Error)? {
        let started = clock.uptime
        while let (body, attempt) = task.beginAttempt() {
            let running = Task.detached(executorPreference: executor(for: task), priority: task.priority) { [self] in
                await attemptBody(body, of: task, attempt: attempt, wait: .zero)
            }
            let limit = task.options.timeout.limit(standard: configuration.timeout)
            let timer = limit.map { clock.schedule(after: $0) { running.cancel() } }
            let result = await running.value
            timer?.cancel()
            guard case .failure(let error) = result else {
                if let ended = state.withLock({ $0.end(task, .succeeded) }) {
                    finish(ended, duration: clock.uptime - started)
                }
                return nil
            }
            if attempt >= task.options.retry.maxAttempts {
                if let ended = state.withLock({ $0.end(task, .failed(error)) }) {
                    finish(ended, duration: clock.uptime - started)
                }
                return error
            }
        }
        return nil
    }

    /// Runs synchronous work on the blocking pool.
    func runBlocking(_ work: @escaping @Sendable () throws -> Void) async throws {
        let metrics = metrics
        try await blockingPool.runBlocking(work) { metrics.waitedForBlockingThread($0) }
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

extension Logger.Metadata {
    /// What is known about an error: its type and what it says.
    mutating func add(_ error: any Error) {
        self[BackgroundLog.error] = "\(error)"
        self[BackgroundLog.errorType] = "\(type(of: error))"
    }
}
