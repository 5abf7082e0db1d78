// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// How jobs are done: for each job type a closure that captures what it needs.
///
/// ```swift
/// var handlers = JobHandlers()
/// handlers.add(WelcomeEmail.self) { email, context in
///     context.logger.info("sending")
///     try await send(email.address)
/// }
/// ```
///
/// Fixed once the worker has it. A worker claims only the names it has handlers for, so a job of a type that a
/// deploy has not brought yet stays where it is.
public struct JobHandlers: Sendable {
    /// One registered job type, with the payload type erased.
    struct Handler: Sendable {
        /// The highest payload version it decodes.
        let version: Int
        /// The line its jobs stand in unless an enqueue says otherwise.
        let queue: QueueName
        /// The policy the code has now; used by jobs whose stored policy follows the code.
        let retry: RetryPolicy
        /// See ``Job/finishWithin``.
        let finishWithin: Duration?
        /// Decodes; what it returns runs the handler and encodes the result.
        let prepare: @Sendable (Payload) throws -> Run
    }

    /// A decoded job that is ready to run.
    typealias Run = @Sendable (JobContext) async throws -> Payload?

    private(set) var handlers: [JobName: Handler] = [:]

    /// No handlers yet.
    public init() {}

    /// The names with the highest payload version each, as claims send them.
    public var names: [JobName: Int] { handlers.mapValues(\.version) }

    /// Registers how jobs of this type are done.
    /// - Precondition: The name is not registered yet and can be stored.
    public mutating func add<J: Job>(
        _ type: J.Type,
        _ handler: @escaping @Sendable (J, JobContext) async throws -> Void
    ) where J.Output == Void {
        add(type) { job in
            { context in
                try await handler(job, context)
                return nil
            }
        }
    }

    /// Registers how jobs of this type are done; what the closure returns is kept as the job's result. One that is
    /// larger than `Payload.resultLimit` (256 KiB) ends the job as failed, with an error that says so.
    /// - Precondition: The name is not registered yet and can be stored.
    public mutating func add<J: Job>(
        _ type: J.Type,
        _ handler: @escaping @Sendable (J, JobContext) async throws -> J.Output
    ) where J.Output: Codable {
        add(type) { job in
            { context in try PayloadCoder.encode(result: try await handler(job, context)) }
        }
    }

    private mutating func add<J: Job>(_ type: J.Type, run: @escaping @Sendable (J) -> Run) {
        precondition(handlers[J.name] == nil, "two handlers are registered for the job name '\(J.name)'; keep one")
        if let problem = J.name.problem { preconditionFailure("\(J.self) cannot be registered: \(problem)") }
        handlers[J.name] = Handler(
            version: J.version,
            queue: J.queue,
            retry: J.retry,
            finishWithin: J.finishWithin,
            prepare: { run(try J.decode($0)) }
        )
    }

    /// The lines that registered types stand in.
    var queues: [QueueName] { Set(handlers.values.map(\.queue)).sorted() }

    subscript(name: JobName) -> Handler? { handlers[name] }
}
