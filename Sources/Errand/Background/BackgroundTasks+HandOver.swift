// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

extension BackgroundTasks {
    /// Ends the collecting for a request that has given nothing to do; what a task it left behind still adds
    /// runs at once.
    /// - Returns: `false`, and nothing has changed, when there is something to do at the end of the response.
    package func closeIfIdle(status: Int) -> Bool {
        state.withLock { state in
            guard state.isIdle else { return false }
            state.status = status
            return state.closeIfIdle(.complete)
        }
    }

    /// Keeps the status of the response that goes out, when there is nothing else to do before it does: no job is to be
    /// stored, and tasks start after it.
    /// - Returns: `false`, and nothing has changed, when there is.
    package func respondedReadily(status: Int) -> Bool {
        let startsTasksFirst = runner.runsBeforeResponse
        return state.withLock { state in
            let isReady = startsTasksFirst ? state.isIdle : state.staged.isEmpty
            if isReady { state.status = status }
            return isReady
        }
    }

    /// The status of the response that goes out.
    ///
    /// Called once, before it is written.
    package func responded(status: Int) {
        state.withLock { $0.status = status }
    }

    /// Gives the tasks to the runner now that the response is written.
    ///
    /// Only the first call does anything.
    ///
    /// Suspends, and so holds the connection, while the runner's queue is full and its policy is to wait.
    /// - Throws: The first error of a task, only in mode `.immediate(rethrow: true)`.
    package func handOver(_ delivery: BackgroundDelivery) async throws {
        if state.withLock({ $0.closeIfIdle(delivery) }) { return }
        flushLate()
        guard let batch = takeBatch(delivery) else { return }
        try await runner.take(batch)
    }

    /// As ``handOver(_:)`` for where nobody can wait: the response was dropped without being written.
    package func handOverNow(_ delivery: BackgroundDelivery) {
        flushLate()
        guard let batch = takeBatch(delivery) else { return }
        runner.takeNow(batch)
    }

    private func takeBatch(_ delivery: BackgroundDelivery) -> BackgroundBatch? {
        let taken: (tasks: [BackgroundTask], width: Int, reserved: Int, isOverLimit: Bool, status: Int)? =
            state.withLock { state in
                guard !state.isHandedOver else { return nil }
                state.isHandedOver = true
                state.delivery = delivery
                defer {
                    state.tasks = []
                    state.reserved = 0
                    state.isOverLimit = false
                }
                return (state.tasks, state.width, state.reserved, state.isOverLimit, state.status ?? 200)
            }
        guard let taken else { return nil }
        let batch = BackgroundBatch(
            tasks: filter(taken.tasks, status: taken.status, delivery: delivery),
            width: taken.width,
            reserved: taken.reserved,
            isOverLimit: taken.isOverLimit,
            lineLimit: runner.configuration.tasksPerRequest
        )
        return batch.isEmpty ? nil : batch
    }

    /// The tasks whose condition holds.
    ///
    /// The others are dropped: with one line in the log for those that would have run after a success, silently
    /// for those that wanted a failure.
    private func filter(_ tasks: [BackgroundTask], status: Int, delivery: BackgroundDelivery) -> [BackgroundTask] {
        let missed = tasks.filter { !$0.options.when.holds(status: status, delivery: delivery) }
        guard !missed.isEmpty else { return tasks }
        let told = missed.filter { $0.options.when != .failure }.map { Logger.MetadataValue.string($0.name) }
        if !told.isEmpty {
            logger.info(
                "background tasks dropped",
                metadata: [
                    BackgroundLog.reason: "\(BackgroundDropReason.condition.rawValue)",
                    BackgroundLog.status: "\(status)",
                    BackgroundLog.task: .array(told),
                ]
            )
        }
        for task in missed { runner.drop(task, .condition, isLogged: false) }
        return tasks.filter { $0.options.when.holds(status: status, delivery: delivery) }
    }
}

/// What one request hands to the runner.
struct BackgroundBatch: Sendable {
    let tasks: [BackgroundTask]
    let width: Int
    let reserved: Int
    let isOverLimit: Bool
    let lineLimit: Int

    var isEmpty: Bool { tasks.isEmpty && reserved == 0 && !isOverLimit }

    /// The tasks in their lines: the ordered ones in one, those that stepped out of it, and those beyond the
    /// limit per request, in one each.
    var lines: [(tasks: ArraySlice<BackgroundTask>, width: Int)] {
        if tasks.count <= lineLimit && !tasks.contains(where: \.options.isConcurrent) { return [(tasks[...], width)] }
        var line: [BackgroundTask] = []
        var others: [BackgroundTask] = []
        for task in tasks {
            if task.options.isConcurrent || line.count >= lineLimit { others.append(task) } else { line.append(task) }
        }
        return [(line[...], width)] + others.map { ([$0], 1) }
    }
}
