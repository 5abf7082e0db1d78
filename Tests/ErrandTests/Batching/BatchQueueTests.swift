// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Errand

@Suite struct BatchQueueTests {
    private func call(_ items: Int, _ waiter: String) -> BatchQueue<Int, String>.Call {
        .init(items: Array(repeating: 0, count: items), waiter: waiter)
    }

    @Test("the first call leads, those that arrive meanwhile wait and share the next write")
    func leaderAndFollowers() {
        var queue = BatchQueue<Int, String>(limit: 10)
        guard case .lead = queue.arrive() else { return #expect(Bool(false), "nothing is in flight") }
        for waiter in ["a", "b", "c"] {
            guard case .wait = queue.arrive() else { return #expect(Bool(false), "a write is in flight") }
            queue.enqueue(call(2, waiter))
        }
        #expect(queue.finishWrite().map(\.waiter) == ["a", "b", "c"])
        #expect(queue.finishWrite().isEmpty)
        guard case .lead = queue.arrive() else { return #expect(Bool(false), "the queue is idle again") }
    }

    @Test("a batch holds whole calls up to the limit; a larger call is a batch of its own")
    func limit() {
        var queue = BatchQueue<Int, String>(limit: 4)
        _ = queue.arrive()
        for (size, waiter) in [(3, "a"), (1, "b"), (1, "c"), (9, "d"), (1, "e")] { queue.enqueue(call(size, waiter)) }
        #expect(queue.finishWrite().map(\.waiter) == ["a", "b"])
        #expect(queue.finishWrite().map(\.waiter) == ["c"])
        #expect(queue.finishWrite().map(\.waiter) == ["d"])
        #expect(queue.finishWrite().map(\.waiter) == ["e"])
        #expect(queue.finishWrite().isEmpty)
    }
}
