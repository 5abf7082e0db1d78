// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Looks at the store every few seconds: that it ran says that ticks are decided and jobs are done.
struct Heartbeat: Job {
    /// What is kept as the job's result.
    struct Output: Codable, Sendable, Hashable {
        /// Jobs that could start.
        var ready: Int
        /// How late the tick was decided.
        var lateMilliseconds: Int64
    }

    static let name: JobName = "heartbeat"
    static let retry = RetryPolicy.none
    static let timeout: Duration? = .seconds(5)

    static func register(in handlers: inout JobHandlers, jobs: JobClient) {
        handlers.add(Heartbeat.self) { _, context in
            let ready = try await jobs.count(JobFilter(states: [.ready])).value
            let lateness = context.tick?.lateness ?? .zero
            return Output(ready: ready, lateMilliseconds: Int64(lateness / .milliseconds(1)))
        }
    }
}
