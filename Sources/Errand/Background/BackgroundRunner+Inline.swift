// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

extension BackgroundRunner {
    /// Runs tasks one after another while the caller waits, with no waits between attempts: modes for tests,
    /// and the overflow policy `.callerRuns`.
    ///
    /// Bounded like all others: the caller waits for an attempt no longer than its timeout and the grace.
    /// - Returns: The errors of tasks that failed for good.
    @discardableResult
    func runInline(_ tasks: [BackgroundTask]) async -> [any Error] {
        state.withLock { $0.inlineCallers += 1 }
        defer { inlineCallerIsDone() }
        var errors: [any Error] = []
        for task in tasks {
            if let other = task.options.after?.task, other.result?.isSuccess != true {
                if let ended = state.withLock({ $0.end(task, .skipped) }) { announce(ended) }
            } else if state.withLock({ isLastStep($0) }) {
                drop(task, .shutdown)
            } else if let error = await runInline(task) {
                errors.append(error)
            }
        }
        return errors
    }

    private func inlineCallerIsDone() {
        let isDone = state.withLock { state in
            state.inlineCallers -= 1
            return state.inlineCallers == 0 && state.machine.phase != .accepting
        }
        if isDone { signals.continuation.yield(.idle) }
    }

    /// Whether shutdown leaves no time to begin anything. Tests may run what is pending after it.
    private func isLastStep(_ state: borrowing State) -> Bool { mode == .live && state.machine.phase == .cancelling }

    private func runInline(_ task: BackgroundTask) async -> (any Error)? {
        let started = clock.uptime
        while let (body, attempt) = task.beginAttempt() {
            let answer = InlineAnswer()
            guard beginInline(task, attempt: attempt, answer) else { return nil }
            // Not on the task's own thread: it may not get one in time.
            limit(task, attempt: attempt, at: clock.uptime)
            let running = Task.detached(executorPreference: executor(for: task), priority: task.priority) { [self] in
                answer.give(await attemptBody(body, of: task, attempt: attempt, wait: .zero))
            }
            launched(running, task, attempt: attempt)
            let result = await answer.wait()
            guard let outcome = endInline(task, attempt: attempt, result, started: started) else { continue }
            switch outcome {
            case .failed(let error): return error
            case .abandoned: return BackgroundError(.timedOut, "'\(task.name)' ignores its cancellation")
            default: return nil
            }
        }
        return nil
    }

    /// - Returns: `false` when it was cancelled before it began.
    private func beginInline(_ task: BackgroundTask, attempt: Int, _ answer: InlineAnswer) -> Bool {
        let now = clock.uptime
        return state.withLock { state in
            guard task.result == nil else { return false }
            var record = Record(task: task, since: now)
            record.attempt = attempt
            record.inline = answer
            state.records[task.id] = record
            return true
        }
    }

    /// - Returns: How the task ended; `nil` when it is to be tried again.
    private func endInline(
        _ task: BackgroundTask,
        attempt: Int,
        _ result: Result<Void, any Error>?,
        started: Duration
    ) -> BackgroundTaskOutcome? {
        let (outcome, ended): (BackgroundTaskOutcome?, Ended?) = state.withLock { state in
            let record = state.records.removeValue(forKey: task.id)
            record?.timer?.cancel()
            let reason = task.endAttempt()
            var (outcome, kind) = (BackgroundTaskOutcome.abandoned, Machine.Result.final)
            if let result { (outcome, kind) = self.outcome(of: result, reason, task) }
            if kind == .failed && attempt < task.options.retry.maxAttempts && !isLastStep(state) { return (nil, nil) }
            let isLost = reason == .shutdown && !outcome.isSuccess
            return (outcome, state.end(task, outcome, isLost: isLost))
        }
        if let ended {
            if case .abandoned = ended.outcome {
                tellAbandoned(ended)
            } else {
                finish(ended, duration: clock.uptime - started)
            }
        }
        return outcome
    }

    /// Runs synchronous work on the blocking pool.
    func runBlocking(_ work: @escaping @Sendable () throws -> Void) async throws {
        let metrics = metrics
        try await blockingPool.runBlocking(work) { metrics.waitedForBlockingThread($0) }
    }
}
