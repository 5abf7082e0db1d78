// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Long work with a result: the client gets an id at once and asks for the result later.
struct ProcessText: Job {
    /// What is kept as the job's result.
    struct Output: Codable, Sendable, Hashable {
        var words: Int
        var characters: Int
        var longest: String
    }

    static let name: JobName = "process-text"
    /// Running it again does no harm, so it survives more dead workers than usual.
    static let crashesAllowed = 20

    let text: String
    /// How long the work takes, in seconds.
    let seconds: Double

    static func register(in handlers: inout JobHandlers, clock: any ErrandClock) {
        handlers.add(ProcessText.self) { job, _ in
            // Stands for the slow service that a real handler would call. Throws when the job is cancelled.
            if job.seconds > 0 { try await clock.sleep(for: .seconds(job.seconds)) }
            let words = job.text.split(whereSeparator: \.isWhitespace)
            let longest = words.max { $0.count < $1.count }
            return Output(words: words.count, characters: job.text.count, longest: longest.map(String.init) ?? "")
        }
    }
}
