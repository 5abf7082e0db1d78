// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Worker processes that drain the same jobs, and the one that waits for them.
struct SeveralWorkers: Sendable {
    let processes: Int
    let count: Int

    /// All wait before a pause, which ends for all at once.
    func drain(_ scratch: Scratch) async throws -> (seconds: Double, commits: Int) {
        try await scratch.withStore { store in
            let client = JobClient(store: store)
            try await client.fill(count)
            try await client.pause(.everything, reason: "until all are there")
            return try await started(["drain-child"] + scratch.target.words, []) { children in
                try await measure(children, client, every: scratch.target.setup.askInterval)
            }
        }
    }

    private func started(
        _ arguments: [String],
        _ children: [ChildProcess],
        _ body: @escaping @Sendable ([ChildProcess]) async throws -> (seconds: Double, commits: Int)
    ) async throws -> (seconds: Double, commits: Int) {
        if children.count == processes { return try await body(children) }
        return try await ChildProcess.run(arguments) { child in
            try await started(arguments, children + [child], body)
        }
    }

    private func measure(
        _ children: [ChildProcess],
        _ client: JobClient,
        every interval: Duration
    ) async throws -> (seconds: Double, commits: Int) {
        for child in children { try await child.line("ready") }
        let seconds = try await time {
            try await client.resume(.everything, reason: "all are there")
            while try await client.counts().count(.succeeded) < count {
                try await SystemClock.shared.sleep(for: interval)
            }
        }
        var (handled, commits) = (0, 0)
        for child in children { try await child.finish() }
        for child in children {
            handled += try await child.number("handled")
            commits += try await child.number("commits")
        }
        guard handled == count else { throw VoidFigure("\(handled) of \(count) handlers ran") }
        return (seconds, commits)
    }
}
