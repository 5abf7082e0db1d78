// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// What ticks cost: to know the next, to decide many that are due at once or every second, and to wait for them.
struct ScheduleFigures {
    let scale: Scale

    func measure() async throws -> [Figure] {
        var figures: [Figure] = []
        if scale.hasOthers {
            figures += try RuleFigures(scale: scale).measure()
            figures += try await measure("memory") { try await $0(MemoryStore()) }
        }
        for setup in scale.setups where setup != .processCrash {
            figures += try await measure(setup.rawValue) { body in
                try await Scratch.with(setup, on: scale.servers) { scratch in
                    try await scratch.withStore { try await body($0) }
                }
            }
            figures += try await idle(setup)
        }
        return figures
    }

    private typealias OnStore = ((any JobStore) async throws -> Void) async throws -> Void

    private func measure(_ name: String, _ onStore: OnStore) async throws -> [Figure] {
        let burst = scale.jobs(10_000)
        var bursts: [DueTicks.Burst] = []
        for _ in 0..<scale.runs {
            try await onStore { bursts.append(try await DueTicks.burst(of: burst, on: $0)) }
        }
        var figures = [
            Figure("\(burst) schedules due at once, until all are enqueued, \(name)", bursts.map(\.enqueued), "s"),
            Figure("\(burst) schedules due at once, until all have run, \(name)", bursts.map(\.run), "s"),
        ]
        for offered in [1000, 5000].map(scale.jobs) {
            var streams: [DueTicks.Stream] = []
            for _ in 0..<scale.runs {
                try await onStore { store in
                    streams.append(
                        try await DueTicks.stream(of: offered, for: .seconds(scale.isQuick ? 3 : 10), on: store)
                    )
                }
            }
            let words = "\(offered) schedules of every second"
            // What is asked for is the limit: 1 is to keep up.
            let rates = streams.map(\.rate)
            figures += [
                Figure("\(words), ticks, \(name)", rates, "1/s", limit: streams.map { _ in Double(offered) }),
                Figure("\(words), enqueued after, p99, \(name)", streams.map(\.lateness), "ms"),
            ]
        }
        return figures
    }

    /// Schedules that fire once a year; beside the figures of an idle worker, they say what having schedules costs.
    private func idle(_ setup: Setup) async throws -> [Figure] {
        let count = scale.jobs(10_000)
        var idle: [(cpu: Double, queries: Double, memory: Double)] = []
        for _ in 0..<scale.runs {
            let worker = try await FootprintFigures.idleWorker(setup, scale) { store in
                try await ManySchedules(count: count, trigger: .cron("@yearly")).put(in: store)
            }
            idle.append(worker)
        }
        let name = "idle worker, \(count) schedules"
        return [
            Figure("\(name), processor\(setup.suffix)", idle.map(\.cpu), "%"),
            Figure("\(name), calls of the store\(setup.suffix)", idle.map(\.queries), "1/s"),
        ]
    }
}
