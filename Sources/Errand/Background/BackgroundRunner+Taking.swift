// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Logging
import Synchronization

extension BackgroundRunner {
    /// Takes the tasks of a request whose response is written.
    ///
    /// Suspends while its connection is to be held.
    /// - Throws: The first error of a task, only in mode `.immediate(rethrow: true)`.
    func take(_ batch: BackgroundBatch) async throws {
        if mode != .live { releaseReservation(batch.reserved) }
        switch mode.kind {
        case .live:
            // Not in a function of its own: what follows is rare, and to await costs even when it does not suspend.
            switch submit(batch, from: .connection) {
            case .held(let hold): await wait(for: hold)
            case .callerRuns: await runInline(batch.tasks)
            default: break
            }
        case .immediate(let rethrow):
            let errors = await runInline(batch.tasks)
            if rethrow, let error = errors.first { throw error }
        case .manual:
            state.withLock { $0.pending += batch.tasks }
        case .discard:
            for task in batch.tasks { drop(task, .discarded, isLogged: false) }
        }
    }

    /// Takes tasks where nobody can wait.
    /// - Returns: Whether they went beyond the queue's bound and a connection should be held for it.
    @discardableResult
    func takeNow(_ batch: BackgroundBatch, from origin: Machine.Origin = .request) -> Bool {
        switch mode.kind {
        case .live, .immediate: return submit(batch, from: origin) == .acceptedOverLimit
        case .manual: state.withLock { $0.pending += batch.tasks }
        case .discard: for task in batch.tasks { drop(task, .discarded, isLogged: false) }
        }
        releaseReservation(batch.reserved)
        return false
    }

    /// Takes one task that was added after its request's others, or is to begin at once.
    func submitLate(_ task: BackgroundTask) -> Bool {
        takeNow(BackgroundBatch(tasks: [task], width: 1, reserved: 0, isOverLimit: false, lineLimit: 1))
    }

    /// Takes a task that stores jobs: in every mode, beyond every bound, and while tasks drain, too.
    func submitStoring(_ task: BackgroundTask) {
        let now = clock.uptime
        let isTaken = transact { state in
            state.records[task.id] = Record(task: task, since: now)
            return state.machine.submitUrgent(Machine.Arrival(id: task.id, attempts: task.options.retry.maxAttempts))
        }
        if !isTaken { drop(task, .shutdown) }
    }

    func reserve(_ count: Int) -> Bool { state.withLock { $0.machine.reserve(count) } }

    func releaseReservation(_ count: Int) {
        guard count > 0 else { return }
        transact { ((), $0.machine.releaseReservation(count)) }
    }

    private func submit(_ batch: BackgroundBatch, from origin: Machine.Origin) -> Machine.Submission {
        let now = clock.uptime
        let submission = transact { state in
            let lines = state.arrivals(batch, now: now)
            let (submission, actions) = state.machine.submit(lines, from: origin, reservation: batch.reserved)
            switch submission {
            case .held(let hold): state.holds[hold] = .open
            case .callerRuns: for task in batch.tasks { state.records[task.id] = nil }
            default: break
            }
            return (submission, actions)
        }
        switch submission {
        case .shed(let ids):
            let shed = Set(ids)
            for task in batch.tasks where shed.contains(task.id) { drop(task, .queueFull) }
        case .refused: for task in batch.tasks { drop(task, .shutdown) }
        default: break
        }
        return submission
    }

    /// Holds the caller, and so its connection, until its tasks are in the queue.
    ///
    /// A caller whose own task is cancelled goes on; its tasks keep their place.
    private func wait(for hold: HoldID) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let resumesNow = state.withLock { state in
                    guard case .open = state.holds[hold], !Task.isCancelled else {
                        state.holds[hold] = nil
                        return true
                    }
                    state.holds[hold] = .waiting(continuation)
                    return false
                }
                if resumesNow { continuation.resume() }
            }
        } onCancel: {
            let continuation: CheckedContinuation<Void, Never>? = state.withLock { state in
                guard case .waiting(let continuation) = state.holds[hold] else { return nil }
                state.holds[hold] = nil
                return continuation
            }
            continuation?.resume()
        }
    }

    func cancel(_ task: BackgroundTask) {
        let now = clock.uptime
        let (running, ended): (Task<Void, Never>?, Ended?) = transact { state in
            if state.isRunning(task.id) {
                return ((task.cancelAttempt(.handle), nil), Machine.Actions())
            }
            let actions = state.machine.remove(task.id) ?? Machine.Actions()
            state.pending.removeAll { $0.id == task.id }
            return ((nil, state.end(task, .cancelled)), actions)
        }
        if let ended {
            announce(ended)
        } else if let running {
            cancelRunning(running, task, at: now)
        }
    }
}

extension BackgroundDropReason {
    /// How loudly it is told: a condition that did not hold is as asked for, the others lose work.
    var level: Logger.Level {
        switch self {
        case .condition, .discarded: .info
        case .queueFull, .shutdown: .error
        }
    }
}
