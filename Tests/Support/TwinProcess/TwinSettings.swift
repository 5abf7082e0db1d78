// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandSQLite
import Foundation

/// How one of two processes uses the file.
struct TwinSettings: Sendable, Codable {
    var file: String
    /// Whether the processes tell each other when they write.
    var hasSignals = true
    /// Whether it runs jobs.
    var works = true
    /// How often it looks for work and for awaited results by itself.
    var pollMilliseconds = 600_000
    /// How often its worker beats.
    var beatMilliseconds = 600_000
    /// How often its worker looks for the dead.
    var maintenanceMilliseconds = 600_000

    init(file: String) {
        self.file = file
    }

    init(argument: String) throws {
        self = try JSONDecoder().decode(TwinSettings.self, from: Data(argument.utf8))
    }

    var argument: String {
        get throws { String(decoding: try JSONEncoder().encode(self), as: UTF8.self) }
    }

    var store: SQLiteConfiguration {
        var configuration = SQLiteConfiguration()
        configuration.wakeUp = hasSignals ? .watch : .poll
        return configuration
    }

    var client: JobClientConfiguration {
        var configuration = JobClientConfiguration()
        configuration.pollInterval = .milliseconds(pollMilliseconds)
        return configuration
    }

    var worker: WorkerConfiguration {
        var configuration = WorkerConfiguration()
        configuration.threads = 2
        configuration.pollInterval = .milliseconds(pollMilliseconds)
        configuration.idlePollInterval = configuration.pollInterval
        configuration.beatInterval = .milliseconds(beatMilliseconds)
        // So long that nobody is taken for dead because of his silence.
        configuration.fenceAfter = configuration.beatInterval * 3 + .minutes(10)
        configuration.deadAfter = configuration.fenceAfter * 2
        configuration.maintenanceInterval = .milliseconds(maintenanceMilliseconds)
        return configuration
    }
}
