// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Errand
@_spi(Benchmarks) import ErrandSQLite

/// A worker on a file, in a process of its own.
struct DrainChild: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "drain-child", shouldDisplay: false)

    @Argument var file: String
    @Argument var durability: String

    func run() async throws {
        let settings = SQLiteConfiguration(durability: durability == "powerLoss" ? .powerLoss : .processCrash)
        let store = try SQLiteStore(path: file, configuration: settings)
        let tally = Tally(goal: .max)
        let worker = Worker.measured(store, tally.handlers)
        try await worker.runs {
            while !worker.health.isReady { try await SystemClock.shared.sleep(for: .milliseconds(5)) }
            Parent.tell("ready")
            await Parent.waitForEnd()
        }
        Parent.tell("handled \(tally.handled)")
        Parent.tell("commits \(store.commitCount)")
        try await store.close()
    }
}
