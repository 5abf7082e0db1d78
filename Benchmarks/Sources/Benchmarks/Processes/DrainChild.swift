// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Errand

/// A worker on jobs of the parent, in a process of its own.
struct DrainChild: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "drain-child", shouldDisplay: false)

    @OptionGroup var target: Target

    func run() async throws {
        let store = try target.open()
        let tally = Tally(goal: .max)
        let worker = Worker.measured(store, tally.handlers)
        let before = try await worker.runs {
            while !worker.health.isReady { try await SystemClock.shared.sleep(for: .milliseconds(5)) }
            Parent.tell("ready")
            let before = store.commitCount
            await Parent.waitForEnd()
            return before
        }
        Parent.tell("handled \(tally.handled)")
        Parent.tell("commits \(store.commitCount - before)")
        try await store.close()
    }
}
