// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Whether the cost of a job depends on how many others there are: 20,000 are drained while so many stay behind.
struct BacklogFigures {
    let scale: Scale

    private enum Kind: CaseIterable {
        case queued1K, queued100K, queued1M, finished1M

        var name: String {
            switch self {
            case .queued1K: "1 thousand queued behind"
            case .queued100K: "100 thousand queued behind"
            case .queued1M: "1 million queued behind"
            case .finished1M: "1 million finished kept"
            }
        }

        var behind: Int {
            switch self {
            case .queued1K: 1000
            case .queued100K: 100_000
            case .queued1M: 1_000_000
            case .finished1M: 1000
            }
        }
    }

    func measure() async throws -> [Figure] {
        var figures: [Figure] = []
        for setup in scale.setups where setup != .processCrash { figures += try await measure(setup) }
        return figures
    }

    /// The smallest backlog is the limit of the others: the ratio says how flat the cost is.
    private func measure(_ setup: Setup) async throws -> [Figure] {
        var runs: [Kind: [Double]] = [:]
        var scratches: [(Kind, Scratch)] = []
        do {
            for kind in Kind.allCases {
                let scratch = try Scratch(setup, on: scale.servers)
                scratches.append((kind, scratch))
                try await prepare(scratch, kind)
                try await scratch.settle()
            }
            for _ in 0..<scale.runs {
                // In turn, so that a slow minute of the machine hits all alike.
                for (kind, scratch) in scratches { runs[kind, default: []].append(try await drain(scratch)) }
            }
        } catch {
            for (_, scratch) in scratches { await scratch.remove() }
            throw error
        }
        for (_, scratch) in scratches { await scratch.remove() }
        let least = runs[.queued1K] ?? []
        return Kind.allCases.map { kind in
            let limit = kind == .queued1K ? [] : least
            return Figure("drain, \(kind.name), \(setup.rawValue)", runs[kind] ?? [], "jobs/s", limit: limit)
        }
    }

    private var bite: Int { scale.jobs(20_000) }

    private func prepare(_ scratch: Scratch, _ kind: Kind) async throws {
        try await scratch.withStore { store in
            let client = JobClient(store: store)
            if kind == .finished1M {
                let finished = scale.jobs(1_000_000)
                try await client.fill(finished)
                _ = try await DrainFigures.drain(finished, of: store)
            }
            try await client.fill(kind == .queued1K || kind == .finished1M ? kind.behind : scale.jobs(kind.behind))
        }
    }

    private func drain(_ scratch: Scratch) async throws -> Double {
        try await scratch.withStore { store in
            try await JobClient(store: store).fill(bite)
            let tally = Tally(goal: bite)
            let start = SystemClock.shared.uptime
            let end = try await Worker.measured(store, tally.handlers).runs { await tally.wait() }
            return Double(bite) / (end - start).inSeconds
        }
    }
}
