// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// Who waits for the next write and who leads it. Pure: calls in, decisions out.
///
/// There is no delay: a batch is what arrived while the previous write was in flight, so one caller pays
/// nothing and a thousand share one commit.
struct BatchQueue<Item: Sendable, Waiter: Sendable>: Sendable {
    /// Items of one call and whoever waits for their answers.
    struct Call: Sendable {
        var items: [Item]
        var waiter: Waiter
    }

    /// What an arriving call does.
    enum Arrival {
        /// Nothing is in flight: write these items now.
        case lead
        /// A write is in flight: wait.
        case wait
    }

    private var waiting: Deque<Call> = []
    private var isWriting = false
    private let limit: Int

    /// - Parameter limit: The most items of one batch; a call with more is a batch of its own.
    init(limit: Int) {
        self.limit = limit
    }

    /// A call arrives that has not been queued yet.
    mutating func arrive() -> Arrival {
        guard !isWriting else { return .wait }
        isWriting = true
        return .lead
    }

    /// How many calls wait.
    var waitingCalls: Int { waiting.count }

    /// A call that has to wait.
    mutating func enqueue(_ call: Call) {
        waiting.append(call)
    }

    /// The write in flight ended. Takes the next batch, whole calls in order of arrival; the first of them leads.
    /// Empty when nobody waits; the queue is then idle.
    mutating func finishWrite() -> [Call] {
        var batch: [Call] = []
        var size = 0
        while let next = waiting.first, batch.isEmpty || size + next.items.count <= limit {
            batch.append(waiting.removeFirst())
            size += next.items.count
        }
        isWriting = !batch.isEmpty
        return batch
    }
}
