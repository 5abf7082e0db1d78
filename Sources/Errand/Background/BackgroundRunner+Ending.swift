// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Logging
import Synchronization

extension BackgroundRunner {
    func attemptEnded(
        _ task: BackgroundTask,
        attempt: Int,
        _ result: Result<Void, any Error>,
        started: Duration
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
            let reason = task.endAttempt()
            let (outcome, kind) = self.outcome(of: result, reason, task)
            let (verdict, actions) = state.machine.ended(task.id, kind)
            var end = End()
            if case .failed(let error) = outcome { end.error = error }
            switch verdict {
            case .ended:
                end.ended = state.end(task, outcome, isLost: reason == .shutdown && !outcome.isSuccess)
            case .retryLater:
                let delay = chance.draw { task.options.retry.backoff.wait(afterFailure: attempt, using: &$0) }
                end.retry = delay
                state.records[task.id]?.rest(until: now + delay)
            case .lastChance:
                end.retry = .zero
                state.records[task.id]?.rest(until: now)
            case .unknown: break
            }
            return (end, actions)
        }
        if let retry = end.retry { retryLater(task, attempt: attempt, after: retry, end.error) }
        if let ended = end.ended { finish(ended, duration: now - started) }
    }

    /// What the result of an attempt means, given why it was cancelled, if it was.
    func outcome(
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
    func finish(_ ended: Ended, duration: Duration) {
        let task = ended.task
        metrics.ended(name: task.name, outcome: ended.outcome, duration: duration)
        switch ended.outcome {
        case .failed(let error):
            var metadata = metadata(task, duration)
            metadata.add(error)
            task.logger.error("background task failed", metadata: metadata)
            onFailure?(task.report, error)
        case .cancelled:
            task.logger.info("background task cancelled", metadata: metadata(task, duration))
        default:
            task.logger.debug("background task finished", metadata: metadata(task, duration))
        }
        for waiter in ended.waiters { waiter.resume(returning: ended.outcome) }
    }

    private func metadata(_ task: BackgroundTask, _ duration: Duration) -> Logger.Metadata {
        var metadata = metadata(task)
        metadata[BackgroundLog.duration] = "\(duration)"
        return metadata
    }
}

extension Logger.Metadata {
    /// What is known about an error: its type and what it says.
    mutating func add(_ error: any Error) {
        self[BackgroundLog.error] = "\(error)"
        self[BackgroundLog.errorType] = "\(type(of: error))"
    }
}
