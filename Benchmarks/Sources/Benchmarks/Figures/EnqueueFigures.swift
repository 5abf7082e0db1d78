// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Storing jobs: by one caller that awaits each, by 64 callers, in calls of a thousand.
struct EnqueueFigures {
    let scale: Scale

    private enum Way: String, CaseIterable {
        case one = "one by one"
        case callers = "64 callers"
        case bulk = "bulk of 1000"

        var jobs: Int {
            switch self {
            case .one: 4000
            case .callers: 64_000
            case .bulk: 100_000
            }
        }
    }

    func measure() async throws -> [Figure] {
        var figures: [Figure] = []
        for setup in scale.setups {
            for way in Way.allCases { figures.append(try await measure(way, setup)) }
        }
        return figures
    }

    private func measure(_ way: Way, _ setup: Setup) async throws -> Figure {
        var (runs, limits): ([Double], [Double]) = ([], [])
        let count = scale.jobs(way.jobs)
        for _ in 0..<scale.runs {
            let (seconds, commits) = try await Scratch.with(setup, on: scale.servers) { scratch in
                try await scratch.withStore { store in
                    let client = JobClient(store: store)
                    try await client.fill(1000)
                    let before = store.commitCount
                    let seconds = try await time { try await enqueue(count, way, client) }
                    let commits = store.commitCount - before
                    guard try await store.counts().count() == count + 1000 else {
                        throw VoidFigure("not every job was stored")
                    }
                    return (seconds, commits)
                }
            }
            runs.append(Double(count) / seconds)
            let limit = try await Scratch.limit(setup, on: scale.servers, storing: count + 1000) { jobs in
                try await jobs.insert(1000, commits: 1)
                return try await rate(of: count) { try await jobs.insert(count, commits: commits) }
            }
            limits.append(limit)
        }
        return Figure("enqueue \(way.rawValue), \(setup.rawValue)", runs, "jobs/s", limit: limits)
    }

    private func enqueue(_ count: Int, _ way: Way, _ client: JobClient) async throws {
        switch way {
        case .one:
            for number in 0..<count { try await client.enqueue(NoOp(number: number)) }
        case .callers:
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
        case .bulk:
            try await client.fill(count)
        }
    }
}
