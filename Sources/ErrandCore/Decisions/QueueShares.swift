// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Which queue goes next when several have work: smooth weighted round robin.
///
/// Each pick gives every queue with work its weight as credit, takes the one with the most, and charges it the
/// sum of the weights. Over time each gets its share, none waits longer than the others allow, and a claim of
/// one job is as fair as a claim of a hundred because the credit is carried over by the worker.
public struct QueueShares: Sendable, Hashable {
    /// The order in which ``next(available:)`` answers.
    public let order: ClaimRequest.Order
    /// The queues with their credit.
    public private(set) var queues: [ClaimRequest.Queue]

    /// Shares over the queues of a request.
    public init(order: ClaimRequest.Order, queues: [ClaimRequest.Queue]) {
        self.order = order
        self.queues = queues
    }

    /// The index of the queue that goes next among those for which `available` is true and that have a slot
    /// left; takes one of its slots. `nil` when there is none.
    public mutating func next(available: (Int) -> Bool) -> Int? {
        let candidates = queues.indices.filter { queues[$0].slots > 0 && available($0) }
        guard let first = candidates.first else { return nil }
        var chosen = first
        if order == .weighted, candidates.count > 1 {
            var total = 0
            for index in candidates {
                queues[index].credit += queues[index].weight
                total += queues[index].weight
                if queues[index].credit > queues[chosen].credit { chosen = index }
            }
            queues[chosen].credit -= total
        }
        queues[chosen].slots -= 1
        return chosen
    }

    /// What each queue's credit is now, for the next request of the same worker.
    public var credits: [QueueName: Int] {
        Dictionary(queues.map { ($0.name, $0.credit) }, uniquingKeysWith: { first, _ in first })
    }
}
