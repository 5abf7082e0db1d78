// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// Where the jobs go that requests stage: one write for all jobs of a request.
struct BackgroundJobStore: Sendable {
    /// Stores all of them or none.
    let insert: @Sendable ([NewJob]) async throws -> Void
}

/// A job that a request wants stored, or why it cannot be.
struct StagedJob: Sendable {
    let when: BackgroundCondition
    let job: Result<NewJob, any Error>
}
