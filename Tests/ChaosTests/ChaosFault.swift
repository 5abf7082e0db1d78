// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting

/// Something that a chaos run makes go wrong, by chance and again and again.
struct ChaosFault: Sendable {
    /// Its name in the report.
    let name: String
    /// How often it is chosen, compared with the others.
    let weight: Int
    let perform: @Sendable (ChaosFleet, inout SeededGenerator) async throws -> Void

    init(
        _ name: String,
        weight: Int = 1,
        _ perform: @escaping @Sendable (ChaosFleet, inout SeededGenerator) async throws -> Void
    ) {
        (self.name, self.weight, self.perform) = (name, weight, perform)
    }

    /// A worker is killed and another one takes its place.
    static let killWorker = ChaosFault("kill-worker", weight: 4) { fleet, generator in
        // Not one that is frozen, as far as there are others: it has to come back.
        if let number = fleet.movingWorkers.randomElement(using: &generator) { try await fleet.replaceWorker(number) }
    }

    /// A worker stands still for longer than the others wait for it, and then goes on as if nothing had happened.
    static let freezeWorker = ChaosFault("freeze-worker", weight: 4) { fleet, generator in
        let number = Int.random(in: 0..<fleet.workerCount, using: &generator)
        fleet.freeze(number, for: .milliseconds(Int.random(in: 500...3500, using: &generator)))
    }

    /// The client is killed in the middle of its enqueues; what it had not enqueued never is.
    static let killClient = ChaosFault("kill-client") { fleet, _ in try await fleet.replaceClient() }

    /// What goes wrong with processes, whatever the store.
    static let ofProcesses = [killWorker, freezeWorker, killClient]
}
