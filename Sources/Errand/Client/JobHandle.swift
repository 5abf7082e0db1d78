// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A stored job, as the code that enqueued it holds it.
public struct JobHandle<J: Job>: Sendable {
    /// The job.
    public let id: JobID
    /// What the enqueue came to; `nil` for a handle made from an id.
    public let kind: EnqueueResult.Kind?
    let client: JobClient

    init(_ result: EnqueueResult, client: JobClient) {
        id = result.id
        kind = result.kind
        self.client = client
    }

    /// A handle on a job that was enqueued earlier, perhaps by another process.
    public init(id: JobID, client: JobClient) {
        self.id = id
        self.kind = nil
        self.client = client
    }

    /// True when a unique key was taken and this is the job that has it.
    public var wasDuplicate: Bool { kind == .duplicate || kind == .replaced }

    /// The job as it is now.
    /// - Throws: ``ErrandError`` with code `jobNotFound`; ``/ErrandCore/StoreError``.
    public func record(parts: JobParts = []) async throws -> JobRecord {
        guard let record = try await client.job(id, parts: parts) else { throw client.missing(id) }
        return record
    }

    /// Cancels the job; see ``JobClient/cancel(_:reason:actor:)``.
    @discardableResult
    public func cancel(reason: String) async throws -> OperationReport {
        try await client.cancel([id], reason: reason)
    }

    /// Waits until the job is final.
    /// - Parameter timeout: How long to wait; the job goes on afterwards.
    /// - Throws: ``ErrandError`` with code `timedOut` or `jobNotFound`; ``/ErrandCore/StoreError``; `CancellationError`.
    @discardableResult
    public func finished(timeout: Duration) async throws -> JobRecord {
        try await client.waitForEnd(of: id, timeout: timeout)
    }
}

extension JobHandle where J.Output: Codable {
    /// Waits for the job's end and returns what its handler returned.
    /// - Throws: ``JobFailure`` when the job did not succeed; ``ErrandError`` with code `timedOut`,
    ///   `jobNotFound`, or `resultGone` when the result is not kept any more; ``/ErrandCore/StoreError``.
    public func result(timeout: Duration) async throws -> J.Output {
        let record = try await finished(timeout: timeout)
        guard record.state == .succeeded else { throw JobFailure(record) }
        guard let result = record.result else {
            throw ErrandError(
                .resultGone,
                "job \(id) succeeded, but its result is not kept any more; raise its resultTTL"
            )
        }
        return try PayloadCoder.decode(J.Output.self, from: result)
    }
}

/// A job ended otherwise than by success.
public struct JobFailure: Error, Sendable, Hashable {
    /// The job.
    public let id: JobID
    /// Its final state.
    public let state: JobState
    /// Why, when that needs telling apart.
    public let reason: FailureReason?
    /// The last error, if there was one.
    public let error: StoredError?

    init(_ record: JobRecord) {
        (id, state, reason, error) = (record.id, record.state, record.reason, record.error)
    }
}

extension JobFailure: CustomStringConvertible {
    public var description: String {
        let why = reason.map { " (\($0.rawValue))" } ?? ""
        let what = error.map { ": \($0.type): \($0.message)" } ?? ""
        return "job \(id) is \(state.word)\(why)\(what)"
    }
}
