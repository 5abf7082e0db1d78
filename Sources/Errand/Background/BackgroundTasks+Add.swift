// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import Synchronization

extension BackgroundTasks {
    /// Runs `work` after the response.
    ///
    /// The tasks of a request form a line: they start in the order of adding, one at a time. A task that
    /// throws ends its attempt and nothing else; the next one runs. Nothing is stored: a task that must
    /// survive the end of the process is a job, see `enqueue`.
    /// - Parameters:
    ///   - name: For logs, metrics and traces; by default the file and line. Make it a constant.
    ///   - when: With which outcome of the request it runs.
    ///   - after: It starts only when this task has succeeded, and is skipped when that one has ended otherwise.
    ///   - concurrent: Whether it steps out of the line and runs beside it.
    ///   - attempts: How often it is tried, at least 1, with the waits of `Backoff.exponential()` between.
    ///     While it waits the line goes on.
    ///   - retry: Attempts and waits together; wins over `attempts`.
    ///   - timeout: How long an attempt may take; then its task is cancelled.
    ///   - file: For the default name.
    ///   - line: For the default name.
    ///   - work: What to do. Must own what it uses: nothing of the request lives that long.
    /// - Returns: A handle, for `after:` and tests.
    @discardableResult
    public func add(
        _ name: String? = nil,
        when: BackgroundCondition = .success,
        after: BackgroundTaskHandle? = nil,
        concurrent: Bool = false,
        attempts: Int = 1,
        retry: RetryPolicy? = nil,
        timeout: BackgroundTimeout = .standard,
        file: String = #fileID,
        line: Int = #line,
        _ work: @escaping @Sendable () async throws -> Void
    ) -> BackgroundTaskHandle {
        let options = BackgroundTask.Options(
            when: when,
            after: after,
            isConcurrent: concurrent,
            retry: retry ?? .attempts(attempts),
            timeout: timeout
        )
        return add(makeTask(Self.name(name, file, line), options, work))
    }

    /// Calls `function` with these arguments after the response, named by file and line; everything else as
    /// in `add(_:when:after:concurrent:attempts:retry:timeout:file:line:_:)`.
    /// - Parameters:
    ///   - function: What to call.
    ///   - argument: What to call it with.
    ///   - when: With which outcome of the request it runs.
    ///   - after: It starts only when this task has succeeded.
    ///   - concurrent: Whether it steps out of the line.
    ///   - attempts: How often it is tried.
    ///   - retry: Attempts and waits together; wins over `attempts`.
    ///   - timeout: How long an attempt may take.
    ///   - file: For the name.
    ///   - line: For the name.
    /// - Returns: A handle.
    @discardableResult
    public func add<each Argument: Sendable>(
        _ function: @escaping @Sendable (repeat each Argument) async throws -> Void,
        _ argument: repeat each Argument,
        when: BackgroundCondition = .success,
        after: BackgroundTaskHandle? = nil,
        concurrent: Bool = false,
        attempts: Int = 1,
        retry: RetryPolicy? = nil,
        timeout: BackgroundTimeout = .standard,
        file: String = #fileID,
        line: Int = #line
    ) -> BackgroundTaskHandle {
        let options = BackgroundTask.Options(
            when: when,
            after: after,
            isConcurrent: concurrent,
            retry: retry ?? .attempts(attempts),
            timeout: timeout
        )
        return add(makeTask(Self.name(nil, file, line), options) { try await function(repeat each argument) })
    }

    /// Calls `function` with these arguments after the response, under this name; everything else as in
    /// `add(_:when:after:concurrent:attempts:retry:timeout:file:line:_:)`.
    /// - Parameters:
    ///   - name: For logs, metrics and traces.
    ///   - function: What to call.
    ///   - first: What to call it with.
    ///   - argument: Its other arguments.
    ///   - when: With which outcome of the request it runs.
    ///   - after: It starts only when this task has succeeded.
    ///   - concurrent: Whether it steps out of the line.
    ///   - attempts: How often it is tried.
    ///   - retry: Attempts and waits together; wins over `attempts`.
    ///   - timeout: How long an attempt may take.
    /// - Returns: A handle.
    @discardableResult
    public func add<First: Sendable, each Argument: Sendable>(
        _ name: String,
        _ function: @escaping @Sendable (First, repeat each Argument) async throws -> Void,
        _ first: First,
        _ argument: repeat each Argument,
        when: BackgroundCondition = .success,
        after: BackgroundTaskHandle? = nil,
        concurrent: Bool = false,
        attempts: Int = 1,
        retry: RetryPolicy? = nil,
        timeout: BackgroundTimeout = .standard
    ) -> BackgroundTaskHandle {
        let options = BackgroundTask.Options(
            when: when,
            after: after,
            isConcurrent: concurrent,
            retry: retry ?? .attempts(attempts),
            timeout: timeout
        )
        return add(makeTask(name, options) { try await function(first, repeat each argument) })
    }

    /// Runs synchronous `work`, which may block or compute for long, after the response on a thread of the
    /// blocking pool; everything else as in `add(_:when:after:concurrent:attempts:retry:timeout:file:line:_:)`.
    ///
    /// Written out and not guessed from the closure: Swift turns a synchronous closure into an asynchronous
    /// one silently, so one `await` more or less would move the work to other threads. Code that runs cannot
    /// be cancelled: after its timeout it is `.abandoned`.
    /// - Parameters:
    ///   - name: For logs, metrics and traces; by default the file and line.
    ///   - when: With which outcome of the request it runs.
    ///   - after: It starts only when this task has succeeded.
    ///   - concurrent: Whether it steps out of the line.
    ///   - attempts: How often it is tried.
    ///   - retry: Attempts and waits together; wins over `attempts`.
    ///   - timeout: How long an attempt may take, its wait for a thread included.
    ///   - file: For the default name.
    ///   - line: For the default name.
    ///   - work: What to do.
    /// - Returns: A handle.
    @discardableResult
    public func addBlocking(
        _ name: String? = nil,
        when: BackgroundCondition = .success,
        after: BackgroundTaskHandle? = nil,
        concurrent: Bool = false,
        attempts: Int = 1,
        retry: RetryPolicy? = nil,
        timeout: BackgroundTimeout = .standard,
        file: String = #fileID,
        line: Int = #line,
        _ work: @escaping @Sendable () throws -> Void
    ) -> BackgroundTaskHandle {
        let options = BackgroundTask.Options(
            when: when,
            after: after,
            isConcurrent: concurrent,
            retry: retry ?? .attempts(attempts),
            timeout: timeout,
            isBlocking: true
        )
        let runner = runner
        return add(makeTask(Self.name(name, file, line), options) { try await runner.runBlocking(work) })
    }

    /// Begins `work` now instead of after the response, beside everything else: a supervised `Task {}`.
    /// - Parameters:
    ///   - name: For logs, metrics and traces; by default the file and line.
    ///   - attempts: How often it is tried.
    ///   - retry: Attempts and waits together; wins over `attempts`.
    ///   - timeout: How long an attempt may take.
    ///   - file: For the default name.
    ///   - line: For the default name.
    ///   - work: What to do.
    /// - Returns: A handle; here it is fine to wait for it in the handler.
    @discardableResult
    public func start(
        _ name: String? = nil,
        attempts: Int = 1,
        retry: RetryPolicy? = nil,
        timeout: BackgroundTimeout = .standard,
        file: String = #fileID,
        line: Int = #line,
        _ work: @escaping @Sendable () async throws -> Void
    ) -> BackgroundTaskHandle {
        let options = BackgroundTask.Options(
            when: .always,
            isConcurrent: true,
            retry: retry ?? .attempts(attempts),
            timeout: timeout
        )
        return add(makeTask(Self.name(name, file, line), options, work), isImmediate: true)
    }

    /// Lets up to `max` tasks of this request run at once instead of one.
    ///
    /// They still start in order.
    public func concurrent(max: Int) {
        state.withLock { $0.width = Swift.max(max, 1) }
    }

    /// Makes sure that `count` more tasks have room in the runner's queue, so that a handler can answer 503
    /// instead of having its connection held.
    ///
    /// Once the response is written, in a background task for one, it only says whether there is room now.
    /// - Throws: ``BackgroundError`` with code `queueFull`.
    public func reserve(_ count: Int) throws {
        guard runner.reserve(count) else {
            throw BackgroundError(.queueFull, "the queue of background tasks has no room for \(count) more")
        }
        let isLate = state.withLock { state in
            if !state.isHandedOver { state.reserved += max(count, 0) }
            return state.isHandedOver
        }
        // No hand-over will come that gives the places back.
        if isLate { runner.releaseReservation(count) }
    }
}
