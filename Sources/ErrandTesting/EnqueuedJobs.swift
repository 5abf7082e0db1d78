// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import Errand
public import Testing

/// A job that a test found in a store, decoded.
public struct EnqueuedJob<J: Job>: Sendable {
    /// The arguments.
    public let job: J
    /// The row.
    public let record: JobRecord
}

extension JobStore {
    /// The stored jobs of this type, oldest first, decoded; at most 10,000.
    /// - Parameter states: Only these; all when empty.
    public func enqueued<J: Job>(_ type: J.Type, states: Set<JobState> = []) async throws -> [EnqueuedJob<J>] {
        var found: [JobRecord] = []
        var page = JobPageRequest(limit: JobPageRequest.largest)
        repeat {
            let answer = try await list(JobFilter(states: states, names: [J.name]), page: page)
            found += try await jobs(answer.jobs.map(\.id), parts: .payload)
            page.after = answer.next
        } while page.after != nil && found.count < 10_000
        return try found.reversed().map { EnqueuedJob(job: try J.decode($0.payload), record: $0) }
    }
}

/// Expects that a job of this type is stored, and returns the oldest one that fits.
///
/// ```swift
/// try await expectEnqueued(WelcomeEmail.self, in: harness.store) { $0.address == "ada@example.org" }
/// ```
/// Records an issue at the caller's line that names what is stored instead.
@discardableResult
public func expectEnqueued<J: Job>(
    _ type: J.Type,
    in store: any JobStore,
    sourceLocation: SourceLocation = #_sourceLocation,
    where fits: (J) -> Bool = { _ in true }
) async throws -> EnqueuedJob<J>? {
    let found = try await store.enqueued(type)
    if let match = found.first(where: { fits($0.job) }) { return match }
    let instead = found.isEmpty ? "none is stored" : "stored are \(found.map(\.job))"
    Issue.record("expected a job '\(J.name)' that fits; \(instead)", sourceLocation: sourceLocation)
    return nil
}

/// Expects that no job of this type that fits is stored.
public func expectNotEnqueued<J: Job>(
    _ type: J.Type,
    in store: any JobStore,
    sourceLocation: SourceLocation = #_sourceLocation,
    where fits: (J) -> Bool = { _ in true }
) async throws {
    let found = try await store.enqueued(type).filter { fits($0.job) }
    guard !found.isEmpty else { return }
    Issue.record(
        "expected no job '\(J.name)' that fits; stored are \(found.map(\.job))",
        sourceLocation: sourceLocation
    )
}
