// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Running 100,000 jobs that do nothing: by one worker, by several processes.
struct DrainFigures {
    let scale: Scale

    func measure() async throws -> [Figure] {
        var figures: [Figure] = []
        for setup in scale.setups {
            figures.append(
                try await measure("1 worker", setup) { scratch in
                    try await scratch.withStore { store in
                        try await JobClient(store: store).fill(count)
                        let before = store.commitCount
                        return (try await Self.drain(count, of: store), store.commitCount - before)
                    }
                }
            )
            for processes in setup.processes {
                let several = SeveralWorkers(processes: processes, count: count)
                figures.append(
                    try await measure("\(processes) processes", setup, connections: processes) { scratch in
                        try await several.drain(scratch)
                    }
                )
            }
        }
        return figures
    }

    private var count: Int { scale.jobs(100_000) }

    private func measure(
        _ workers: String,
        _ setup: Setup,
        connections: Int = 1,
        _ drain: (Scratch) async throws -> (seconds: Double, commits: Int)
    ) async throws -> Figure {
        var (runs, limits): ([Double], [Double]) = ([], [])
        for _ in 0..<scale.runs {
            let ours = try await Scratch.with(setup, on: scale.servers, drain)
            runs.append(Double(count) / ours.seconds)
            let limit = try await Scratch.limit(
                setup,
                on: scale.servers,
                storing: count,
                connections: connections
            ) { jobs in
                try await jobs.insert(count, commits: count / 500)
                return try await rate(of: count) { try await jobs.drain(count, commits: ours.commits) }
            }
            limits.append(limit)
        }
        return Figure("drain, \(workers), \(setup.rawValue)", runs, "jobs/s", limit: limits)
    }

    /// Seconds from the start of a worker until the last job is stored as succeeded.
    static func drain(_ count: Int, of store: any JobStore) async throws -> Double {
        let tally = Tally(goal: count)
        let worker = Worker.measured(store, tally.handlers)
        let finished = try await store.counts().count(.succeeded) + count
        let seconds = try await worker.runs {
            try await time {
                _ = await tally.wait()
                while try await store.counts().count(.succeeded) < finished { await Task.yield() }
            }
        }
        guard tally.handled == count else { throw VoidFigure("\(tally.handled) of \(count) handlers ran") }
        return seconds
    }
}
