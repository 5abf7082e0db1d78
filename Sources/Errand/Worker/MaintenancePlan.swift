// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Decides what a round of maintenance does, so that a worker with nothing to do asks its store for little.
///
/// What jobs wait for is done every round. What only frees space, raises alarms or draws charts may be later.
struct MaintenancePlan {
    enum Duty: CaseIterable {
        case rescue, expire, prune, sampleDepth, sweep, findOrphans

        /// The least time between two of a kind; zero for every round.
        var interval: Duration {
            switch self {
            case .rescue, .expire: .zero
            // As often as metrics are usually read.
            case .sampleDepth: .seconds(15)
            case .prune: .seconds(30)
            case .sweep, .findOrphans: .seconds(60)
            }
        }
    }

    private var doneAt: [Duty: Duration] = [:]

    /// What is due at this time, in this order. A worker that has just begun does not rescue yet.
    mutating func round(at now: Duration, mayRescue: Bool) -> [Duty] {
        let due = Duty.allCases.filter { duty in
            if duty == .rescue, !mayRescue { return false }
            return doneAt[duty].map { now - $0 >= duty.interval } ?? true
        }
        for duty in due { doneAt[duty] = now }
        return due
    }

    /// It found something to do: there may be more in the next round.
    mutating func found(_ duty: Duty) { doneAt[duty] = nil }
}
