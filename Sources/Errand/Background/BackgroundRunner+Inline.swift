// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

extension BackgroundRunner {
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
