// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Errand

/// A worker with nothing to do: what it costs to have it.
struct IdleChild: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "idle-child", shouldDisplay: false)

    @OptionGroup var target: Target
    @Option var seconds: Int

    func run() async throws {
        let clock = SystemClock.shared
        let store = try target.open()
        let worker = Worker.measured(store, Tally(goal: .max).handlers)
        try await worker.runs {
            while !worker.health.isReady { try await clock.sleep(for: .milliseconds(5)) }
            // The polls have stretched by then.
            try await clock.sleep(for: .seconds(min(seconds, 8)))
            let (calls, cpu, start) = (store.callCount, Usage.cpuSeconds, clock.uptime)
            try await clock.sleep(for: .seconds(seconds))
            let elapsed = (clock.uptime - start).inSeconds
            Parent.tell("cpu \((Usage.cpuSeconds - cpu) / elapsed * 100)")
            Parent.tell("queries \(Double(store.callCount - calls) / elapsed)")
            Parent.tell("memory \(Usage.residentBytes)")
        }
        try await store.close()
    }
}
