// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Synchronization

/// From the call that enqueues to the first line of the handler, one job every 20 ms, nothing else to do.
struct LatencyFigures {
    let scale: Scale

    func measure() async throws -> [Figure] {
        var figures: [Figure] = []
        for setup in scale.setups { figures += try await measure(setup) }
        return figures
    }

    private func measure(_ setup: Setup) async throws -> [Figure] {
        var runs: [[Double]] = []
        let count = scale.jobs(500)
        for _ in 0..<scale.runs {
            let run = try await Scratch.with(setup, on: scale.servers) { scratch in
                try await scratch.withStore { try await delays(of: count, on: $0) }
            }
            runs.append(run)
        }
        let name = "enqueue to start, \(setup.rawValue)"
        return [
            Figure("\(name), p50", runs.map { $0.percentile(50) }, "ms"),
            Figure("\(name), p99", runs.map { $0.percentile(99) }, "ms"),
            Figure("\(name), max", runs.map { $0.max() ?? 0 }, "ms"),
        ]
    }

    /// Milliseconds, one for each job.
    private func delays(of count: Int, on store: any JobStore) async throws -> [Double] {
        let clock = SystemClock.shared
        let started = Mutex<[Int: Duration]>([:])
        let tally = Tally(goal: count)
        var handlers = JobHandlers()
        handlers.add(NoOp.self) { job, _ in
            let now = clock.uptime
            started.withLock { $0[job.number] = now }
            tally.add()
        }
        let client = JobClient(store: store)
        var enqueued: [Duration] = []
        try await Worker.measured(store, handlers)
            .runs {
                // The worker is there when the first jobs come, as in a service that runs.
                try await clock.sleep(for: .milliseconds(200))
                for number in 0..<count {
                    enqueued.append(clock.uptime)
                    try await client.enqueue(NoOp(number: number))
                    try await clock.sleep(for: .milliseconds(20))
                }
                _ = await tally.wait()
            }
        let starts = started.withLock { $0 }
        return try enqueued.enumerated()
            .map { number, at in
                guard let start = starts[number] else { throw VoidFigure("job \(number) did not run") }
                return (start - at).inSeconds * 1000
            }
    }
}
