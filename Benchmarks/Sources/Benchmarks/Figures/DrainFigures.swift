// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
@_spi(Benchmarks) import ErrandSQLite

/// Running 100,000 jobs that do nothing: by one worker, by two processes.
struct DrainFigures {
    let scale: Scale

    func measure() async throws -> [Figure] {
        var figures: [Figure] = []
        for durability in [StoreDescription.Durability.powerLoss, .processCrash] {
            figures.append(try await oneWorker(durability))
            figures.append(try await twoProcesses(durability))
        }
        return figures
    }

    private var count: Int { scale.jobs(100_000) }

    private func oneWorker(_ durability: StoreDescription.Durability) async throws -> Figure {
        var (runs, limits): ([Double], [Double]) = ([], [])
        for _ in 0..<scale.runs {
            let ours = try Scratch(durability)
            defer { ours.remove() }
            let (seconds, commits) = try await ours.withStore { store in
                try await JobClient(store: store).fill(count)
                let before = store.commitCount
                return (try await Self.drain(count, of: store), store.commitCount - before)
            }
            runs.append(Double(count) / seconds)
            limits.append(try await limit(durability, batch: count / max(commits, 1)))
        }
        return Figure("drain, 1 worker, \(durability.word)", runs, "jobs/s", limit: limits)
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

    private func limit(_ durability: StoreDescription.Durability, batch: Int) async throws -> Double {
        let plain = try Scratch(durability)
        defer { plain.remove() }
        try await plain.withStore { _ in }
        var jobs = try PlainJobs(plain, storing: count)
        try jobs.insert(count, batch: 1000)
        let seconds = try await time { try jobs.drain(count, batch: max(batch, 1)) }
        return Double(count) / seconds
    }

    private func twoProcesses(_ durability: StoreDescription.Durability) async throws -> Figure {
        var (runs, limits): ([Double], [Double]) = ([], [])
        for _ in 0..<scale.runs {
            let ours = try Scratch(durability)
            defer { ours.remove() }
            let (seconds, commits) = try await ours.withStore { store in
                let client = JobClient(store: store)
                try await client.fill(count)
                return try await twoProcesses(draining: ours, client)
            }
            runs.append(Double(count) / seconds)
            limits.append(try await limit(durability, batch: count / max(commits, 1)))
        }
        return Figure("drain, 2 processes, \(durability.word)", runs, "jobs/s", limit: limits)
    }

    /// Both wait before a pause, which ends for both at once.
    private func twoProcesses(
        draining scratch: Scratch,
        _ client: JobClient
    ) async throws -> (seconds: Double, commits: Int) {
        try await client.pause(.everything, reason: "until both are there")
        let arguments = ["drain-child", scratch.file, scratch.durability.word]
        return try await ChildProcess.run(arguments) { first in
            try await ChildProcess.run(arguments) { second in
                try await first.line("ready")
                try await second.line("ready")
                let seconds = try await time {
                    try await client.resume(.everything, reason: "both are there")
                    while try await client.counts().count(.succeeded) < count {
                        try await SystemClock.shared.sleep(for: .milliseconds(1))
                    }
                }
                try await first.finish()
                try await second.finish()
                let handled = try await first.number("handled") + second.number("handled")
                guard handled == count else { throw VoidFigure("\(handled) of \(count) handlers ran") }
                return (seconds, try await first.number("commits") + second.number("commits"))
            }
        }
    }
}
