// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Foundation

/// What one process of a chaos run does.
package struct ChaosSettings: Sendable, Codable {
    /// The store; see ``ChaosStore``.
    package var url: String
    /// The file that it writes its facts to.
    package var facts: String
    /// Whether it runs jobs; the others enqueue them.
    package var isWorker: Bool

    package init(url: String, facts: String, isWorker: Bool) {
        (self.url, self.facts, self.isWorker) = (url, facts, isWorker)
    }

    init(argument: String) throws {
        self = try JSONDecoder().decode(ChaosSettings.self, from: Data(argument.utf8))
    }

    package var argument: String {
        get throws { String(decoding: try JSONEncoder().encode(self), as: UTF8.self) }
    }

    var client: JobClientConfiguration {
        var configuration = JobClientConfiguration()
        configuration.retryFor = .seconds(60)
        return configuration
    }

    /// Everything is quicker than usual, so that a frozen worker is taken for dead within a run.
    var worker: WorkerConfiguration {
        var configuration = WorkerConfiguration()
        configuration.concurrency = 32
        configuration.readAhead = 100
        configuration.pollInterval = .milliseconds(100)
        configuration.idlePollInterval = .milliseconds(200)
        configuration.beatInterval = .milliseconds(250)
        configuration.fenceAfter = .milliseconds(800)
        configuration.deadAfter = .milliseconds(1200)
        configuration.maintenanceInterval = .milliseconds(400)
        // Nothing is pruned: a row that is gone is a job that was lost.
        configuration.retention = RetentionPolicy(ages: [:], maximum: nil)
        return configuration
    }
}

/// A job whose number says how long it takes and how often it fails.
struct Chore: Job {
    static let name: JobName = "chore"
    static let retry = RetryPolicy.attempts(20, backoff: .fixed(.milliseconds(50)))
    // Workers die all the time, and none of it is the job's doing.
    static let crashesAllowed = 10_000
    let number: Int

    /// Milliseconds. Some are long enough to be lost with a worker that stands still.
    var pause: Int { number.isMultiple(of: 50) ? 300 + number % 700 : number.isMultiple(of: 7) ? number % 41 : 0 }
    var failures: Int { number.isMultiple(of: 100) ? 2 : number.isMultiple(of: 10) ? 1 : 0 }
}

struct ChoreError: Error {}
