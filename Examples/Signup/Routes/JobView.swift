// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Foundation

/// A job as clients see it.
struct JobView: Encodable {
    struct Failure: Encodable {
        let type: String
        let message: String
    }

    struct Progress: Encodable {
        let fraction: Double
        let message: String
    }

    struct Try: Encodable {
        let number: Int
        let startedAt: String
        let endedAt: String
        let ending: String
        let error: Failure?
    }

    let id: JobID
    let name: String
    let queue: String
    let state: String
    let attempt: Int
    let failures: Int
    let crashes: Int
    let createdAt: String
    let runAt: String
    let startedAt: String?
    let finishedAt: String?
    let isCancelRequested: Bool
    let progress: Progress?
    let result: JSONValue?
    let error: Failure?
    let attempts: [Try]?

    /// The job; with its result and its attempts when they were read.
    init(_ record: JobRecord, parts: JobParts = []) {
        id = record.id
        name = record.name.rawValue
        queue = record.queue.rawValue
        state = record.state.word
        attempt = record.attempt
        failures = record.failures
        crashes = record.crashes
        createdAt = record.createdAt.text
        runAt = record.runAt.text
        startedAt = record.startedAt?.text
        finishedAt = record.finishedAt?.text
        isCancelRequested = record.cancelRequest != nil
        progress = record.progress.map { Progress(fraction: $0.fraction, message: $0.message) }
        result = record.result.flatMap { try? JSONDecoder().decode(JSONValue.self, from: Data($0.bytes)) }
        error = record.error.map(Self.failure)
        attempts = parts.contains(.attempts) ? record.attempts.map(Self.attempt) : nil
    }

    private static func attempt(_ attempt: Attempt) -> Try {
        Try(
            number: attempt.number,
            startedAt: attempt.startedAt.text,
            endedAt: attempt.endedAt.text,
            ending: attempt.ending.rawValue,
            error: attempt.error.map(failure)
        )
    }

    private static func failure(_ error: StoredError) -> Failure {
        Failure(type: error.type, message: error.message)
    }
}
