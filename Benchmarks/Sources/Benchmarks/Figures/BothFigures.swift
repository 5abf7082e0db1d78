// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Jobs that 64 callers store while a worker of the same process runs them.
struct BothFigures {
    let scale: Scale

    func measure() async throws -> [Figure] {
        var figures: [Figure] = []
        for setup in scale.setups { figures.append(try await measure(setup)) }
        return figures
    }

    private func measure(_ setup: Setup) async throws -> Figure {
        var (runs, limits): ([Double], [Double]) = ([], [])
        let count = scale.jobs(64_000)
        for _ in 0..<scale.runs {
            let (seconds, commits) = try await Scratch.with(setup, on: scale.servers) { scratch in
                try await scratch.withStore { store in
                    let before = store.commitCount
                    return (try await live(count, on: store), store.commitCount - before)
                }
            }
            runs.append(Double(count) / seconds)
            let limit = try await Scratch.limit(setup, on: scale.servers, storing: count) { jobs in
                try await rate(of: count) { try await jobs.live(count, commits: commits) }
            }
            limits.append(limit)
        }
        return Figure("enqueue by 64 callers and drain at once, \(setup.rawValue)", runs, "jobs/s", limit: limits)
    }

    private func live(_ count: Int, on store: any JobStore) async throws -> Double {
        let tally = Tally(goal: count)
        let client = JobClient(store: store)
        let seconds = try await Worker.measured(store, tally.handlers)
            .runs {
                try await time {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for caller in 0..<64 {
                            group.addTask {
                                for number in stride(from: caller, to: count, by: 64) {
                                    try await client.enqueue(NoOp(number: number))
                                }
                            }
                        }
                        try await group.waitForAll()
                    }
                    _ = await tally.wait()
                    while try await store.counts().count(.succeeded) < count { await Task.yield() }
                }
            }
        guard tally.handled == count else { throw VoidFigure("\(tally.handled) of \(count) handlers ran") }
        return seconds
    }
}
