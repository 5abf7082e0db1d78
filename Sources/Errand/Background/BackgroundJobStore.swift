// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// Where the jobs go that requests stage: one write for all jobs of a request.
struct BackgroundJobStore: Sendable {
    /// Makes stored jobs out of job types.
    let client: JobClient
    /// Stores them in one write.
    let insert: @Sendable ([NewJob]) async throws -> Void

    /// The most jobs one request may stage.
    static let stagedLimit = 10_000
}

/// A job that a request wants stored, or why it cannot be.
struct StagedJob: Sendable {
    let when: BackgroundCondition
    let job: Result<NewJob, any Error>
}
