// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// What the runtime costs when the store costs next to nothing.
struct MemoryFigures {
    let scale: Scale

    func measure() async throws -> [Figure] {
        let count = scale.jobs(100_000)
        var (enqueues, drains): ([Double], [Double]) = ([], [])
        for _ in 0..<scale.runs {
            let store = MemoryStore()
            enqueues.append(Double(count) / (try await time { try await JobClient(store: store).fill(count) }))
            drains.append(Double(count) / (try await DrainFigures.drain(count, of: store)))
        }
        return [
            Figure("enqueue bulk of 1000, memory", enqueues, "jobs/s"),
            Figure("drain, 1 worker, memory", drains, "jobs/s"),
        ]
    }
}
