// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Logging
import ErrandCore
import ServiceContextModule
import Synchronization

/// One background task: what to run and how, what was captured when it was added, and how it ended.
final class BackgroundTask: Sendable {
    /// How a task is to be run.
    struct Options: Sendable {
        var when: BackgroundCondition = .success
        var after: BackgroundTaskHandle?
        var isConcurrent = false
        var retry: RetryPolicy = .none
        var timeout: BackgroundTimeout = .standard
        /// Whether the body is synchronous and belongs on the blocking pool; for the watchdog's advice only.
        var isBlocking = false
    }

    /// What the work is; let go of when the task has ended, however long a handle is kept.
    typealias Body = @Sendable () async throws -> Void

    let id: UInt64
    let name: String
    let options: Options
    let logger: Logger
    let trace: ServiceContext?
    let priority: TaskPriority
    let scope: BackgroundTasks?

    struct State {
        var body: Body?
        var attempts = 0
        /// Of the attempt that runs.
        var attempt = Attempt()
        var outcome: BackgroundTaskOutcome?
        var waiters: [CheckedContinuation<BackgroundTaskOutcome, Never>] = []
    }

    let state: Mutex<State>

    init(
        id: UInt64,
        name: String,
        options: Options,
        logger: Logger,
        trace: ServiceContext?,
        priority: TaskPriority,
        scope: BackgroundTasks?,
        body: @escaping Body
    ) {
        self.id = id
        self.name = name
        self.options = options
        self.logger = logger
        self.trace = trace
        self.priority = priority
        self.scope = scope
        state = Mutex(State(body: body))
    }

    /// Made when somebody asks: most tasks end without that.
    var requestID: String? { logger[metadataKey: BackgroundLog.requestID].map { "\($0)" } }

    var attempts: Int { state.withLock { $0.attempts } }

    var result: BackgroundTaskOutcome? { state.withLock { $0.outcome } }

    var report: BackgroundTaskReport {
        let (attempts, outcome) = state.withLock { ($0.attempts, $0.outcome ?? .abandoned) }
        return BackgroundTaskReport(id: id, name: name, requestID: requestID, attempts: attempts, outcome: outcome)
    }

    /// The work and the number of the attempt that now begins; `nil` when the task has ended.
    func beginAttempt() -> (body: Body, attempt: Int)? {
        state.withLock { state in
            guard let body = state.body else { return nil }
            state.attempts += 1
            state.attempt = Attempt()
            return (body, state.attempts)
        }
    }

    func outcome() async -> BackgroundTaskOutcome {
        await withCheckedContinuation { continuation in
            let known: BackgroundTaskOutcome? = state.withLock { state in
                if state.outcome == nil { state.waiters.append(continuation) }
                return state.outcome
            }
            if let known { continuation.resume(returning: known) }
        }
    }

    /// Ends the task; only the first call counts.
    /// - Returns: Who waits for the outcome, to be resumed with it outside of any lock; `nil` when the task had
    ///   ended before.
    func end(_ outcome: BackgroundTaskOutcome) -> [CheckedContinuation<BackgroundTaskOutcome, Never>]? {
        state.withLock { state in
            guard state.outcome == nil else { return nil }
            let waiters = state.waiters
            state = State(body: nil, attempts: state.attempts, outcome: outcome)
            return waiters
        }
    }
}
