// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Logging
public import ServiceLifecycle
import Synchronization

extension BackgroundRunner: Service, StopsWithServer {
    /// Waits for shutdown, then drains.
    ///
    /// On graceful shutdown, which reaches the runner only after the server has finished its connections:
    /// nothing new is taken but jobs that tasks enqueue; what is queued and running goes on for `drain`, with one immediate last attempt
    /// instead of a retry; then running tasks are cancelled, queued ones dropped, and `drainGrace` is left for
    /// them to end. It returns in any case, with one error in the log that names what was lost. Cancelling
    /// the task goes to the last step at once.
    ///
    /// All of it together with the server's own part fits into `shutdownDeadline`, counted from
    /// ``serverIsStopping()``.
    /// - Throws: ``BackgroundError`` with code `shutdownDeadline` when the server has not even finished by
    ///   then, which makes the service group cancel it.
    public func run() async throws {
        probe?.start()
        defer { probe?.stop() }
        let signals = signals
        let watching = Task { await self.watchShutdown() }
        let isOverdue = await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await watching.value
            } onGracefulShutdown: {
                signals.continuation.yield(.graceful)
            }
        } onCancel: {
            signals.continuation.yield(.cancelled)
        }
        reportLost()
        pool.stop()
        blockingPool.stop()
        if isOverdue {
            throw BackgroundError(
                .shutdownDeadline,
                "shutdown took longer than \(configuration.shutdownDeadline); connections are closed"
            )
        }
    }

    /// Starts the one deadline of the whole shutdown, now.
    ///
    /// `Application(router:background:)` calls it when the server stops listening; only the first call counts.
    public func serverIsStopping() {
        let end = clock.uptime + configuration.shutdownDeadline
        let isFirst = state.withLock { state in
            guard state.deadline == nil else { return false }
            state.deadline = end
            return true
        }
        guard isFirst else { return }
        let delay = configuration.shutdownDeadline - configuration.drainGrace
        clock.schedule(after: delay) { [signals] in signals.continuation.yield(.deadline) }
    }

    /// Goes through the steps of shutdown as signals come.
    ///
    /// In a task of its own, which nobody cancels: the drain must go on when the service's task is cancelled.
    /// - Returns: Whether the deadline passed before the graceful shutdown had reached the runner.
    private func watchShutdown() async -> Bool {
        enum Step {
            case serving
            case draining
            case cancelling
        }
        var step = Step.serving
        var isOverdue = false
        var timer: ClockTimer?
        defer { timer?.cancel() }
        for await signal in signals.stream {
            switch (step, signal) {
            case (.serving, .graceful):
                step = .draining
                timer = setTimer(beginDrain())
                if endIfIdle() { return false }
            case (.serving, .cancelled), (.serving, .deadline):
                if case .deadline = signal { isOverdue = true }
                fallthrough
            case (.draining, .cancelled), (.draining, .timeUp), (.draining, .deadline):
                timer?.cancel()
                step = .cancelling
                beginCancel()
                if endIfIdle() { return isOverdue }
                timer = setTimer(configuration.drainGrace)
            case (.draining, .idle), (.cancelling, .idle), (.cancelling, .timeUp):
                // An idle moment may be over already: a task that ends may have added another.
                if case .timeUp = signal { return isOverdue }
                if endIfIdle() { return isOverdue }
            default: break
            }
        }
        return isOverdue
    }

    private func setTimer(_ delay: Duration) -> ClockTimer {
        clock.schedule(after: delay) { [signals] in signals.continuation.yield(.timeUp) }
    }

    /// Whether nothing is left; asked and closed in one step, so that nothing comes in between.
    private func endIfIdle() -> Bool { state.withLock { $0.inlineCallers == 0 && $0.machine.endIfIdle() } }

    /// - Returns: How long the drain may take.
    private func beginDrain() -> Duration {
        let now = clock.uptime
        let budget: Duration = transact { state in
            let left = state.deadline.map { max($0 - now - configuration.drainGrace, .zero) }
            return (min(configuration.drain, left ?? configuration.drain), state.machine.beginDrain())
        }
        let (queued, running) = state.withLock { ($0.machine.queued, $0.machine.running) }
        logger.debug(
            "background tasks drain",
            metadata: [
                "background.queued": "\(queued)", "background.running": "\(running)", "background.budget": "\(budget)",
            ]
        )
        return budget
    }

    private func beginCancel() {
        let now = clock.uptime
        let (dropped, running): ([Ended], [(Task<Void, Never>, BackgroundTask)]) = transact { state in
            let (droppedIDs, runningIDs, actions) = state.machine.beginCancel()
            let dropped = droppedIDs.compactMap { state.records[$0]?.task }
                .compactMap { state.end($0, .dropped(.shutdown), isLost: true) }
            var running: [(Task<Void, Never>, BackgroundTask)] = []
            for task in runningIDs.compactMap({ state.records[$0]?.task }) + state.inline.map(\.task) {
                if let swiftTask = task.cancelAttempt(.shutdown) { running.append((swiftTask, task)) }
            }
            return ((dropped, running), actions)
        }
        for ended in dropped { announce(ended, isLogged: false) }
        for (swiftTask, task) in running { cancelRunning(swiftTask, task, at: now) }
    }

    /// One line for everything that was lost, those still running included.
    private func reportLost() {
        let (lost, ended, inline): ([BackgroundTaskReport], [Ended], [Record]) = state.withLock { state in
            let inline = state.inline
            let left = state.machine.unfinished.compactMap { state.records[$0]?.task } + inline.map(\.task)
            let ended = left.compactMap { state.end($0, .abandoned, isLost: true) }
            return (state.lost, ended, inline)
        }
        for one in ended { announce(one) }
        for record in inline { record.inline?.give(nil) }
        guard !lost.isEmpty else { return }
        let names = lost.prefix(100)
            .map { report in
                Logger.MetadataValue.string("\(report.name) \(report.outcome.label) \(report.requestID ?? "-")")
            }
        logger.error(
            "background tasks lost at shutdown",
            metadata: [BackgroundLog.count: "\(lost.count)", BackgroundLog.task: .array(names)]
        )
    }
}
