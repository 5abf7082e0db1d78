// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Code around every run of a handler: logging, tracing, resources per job.
///
/// Interceptors form a chain; the first one given to the worker is the outermost. An interceptor that throws
/// ends the attempt as if the handler had thrown.
public protocol JobInterceptor: Sendable {
    /// The rest of the chain. A name for the type, because where a plain `() async throws -> Void` runs depends on the
    /// settings of the module that writes it, and a method with another one would not be the one that is called.
    typealias NextRun = nonisolated(nonsending) () async throws -> Void

    /// Called once per attempt, after the payload was decoded, on the job's own task. Call `next` exactly once
    /// to run the rest, or throw without calling it.
    func run(_ context: JobContext, next: NextRun) async throws
}

/// Code around every enqueue.
public protocol EnqueueInterceptor: Sendable {
    /// The rest of the chain; a name for the type, as ``JobInterceptor/NextRun`` is.
    typealias NextWrite = nonisolated(nonsending) @Sendable ([NewJob]) async throws -> [EnqueueResult]

    /// Called for every job on every road, also inside a transaction, before it is checked: add headers or
    /// tags, choose a queue, or throw to refuse it.
    func prepare(_ job: inout NewJob) throws

    /// Called around every write of prepared jobs, except inside a transaction, which is the caller's own. Answer
    /// one result for each job, in their order, or throw.
    func enqueue(
        _ jobs: [NewJob],
        next: NextWrite
    ) async throws -> [EnqueueResult]
}

extension EnqueueInterceptor {
    public func prepare(_ job: inout NewJob) throws {}

    public func enqueue(
        _ jobs: [NewJob],
        next: NextWrite
    ) async throws -> [EnqueueResult] {
        try await next(jobs)
    }
}
