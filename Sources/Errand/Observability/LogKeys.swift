// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Every metadata key that Errand logs. Messages are fixed strings; what varies is here.
package enum LogKeys {
    package static let jobID = "job.id"
    package static let jobName = "job.name"
    package static let queue = "job.queue"
    package static let attempt = "job.attempt"
    package static let run = "job.run"
    package static let worker = "worker.id"
    package static let outcome = "job.outcome"
    package static let error = "error"
    package static let count = "count"
    package static let duration = "duration"
    package static let lane = "lane"
    package static let since = "since"
    package static let schedule = "schedule.id"
    package static let tick = "schedule.tick"
    package static let reason = "reason"
}
