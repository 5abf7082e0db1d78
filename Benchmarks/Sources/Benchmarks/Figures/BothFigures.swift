// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
@_spi(Benchmarks) import ErrandSQLite

/// Jobs that 64 callers store while a worker of the same process runs them.
struct BothFigures {
    let scale: Scale

    func measure() async throws -> [Figure] {
        [try await measure(.powerLoss), try await measure(.processCrash)]
    }

    private func measure(_ durability: StoreDescription.Durability) async throws -> Figure {
        var (runs, limits): ([Double], [Double]) = ([], [])
        let count = scale.jobs(64_000)
        for _ in 0..<scale.runs {
            let ours = try Scratch(durability)
            defer { ours.remove() }
            let (seconds, commits) = try await ours.withStore { store in
                let before = store.commitCount
                return (try await live(count, on: store), store.commitCount - before)
            }
            runs.append(Double(count) / seconds)
            let plain = try Scratch(durability)
            defer { plain.remove() }
            try await plain.withStore { _ in }
            var jobs = try PlainJobs(plain, storing: count)
            let limit = try await time { try jobs.live(count, batch: max(count / max(commits, 1), 1)) }
            limits.append(Double(count) / limit)
        }
        return Figure("enqueue by 64 callers and drain at once, \(durability.word)", runs, "jobs/s", limit: limits)
    }

    private func live(_ count: Int, on store: SQLiteStore) async throws -> Double {
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
