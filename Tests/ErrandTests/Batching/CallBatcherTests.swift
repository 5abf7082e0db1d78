// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization
import Testing

@testable import Errand

@Suite(.timeLimit(.minutes(3))) struct CallBatcherTests {
    private final class Log: Sendable {
        let batches = Mutex<[[Int]]>([])
    }

    @Test("every caller gets the answers to its own items, whatever batch they were in")
    func answers() async throws {
        let log = Log()
        let batcher = CallBatcher<Int, Int>(limit: 50) { items in
            log.batches.withLock { $0.append(items) }
            await Task.yield()
            return items.map { $0 * 10 }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<200 {
                group.addTask {
                    let items = (0..<(caller % 4)).map { caller * 100 + $0 }
                    let answers = try await batcher.submit(items)
                    #expect(answers == items.map { $0 * 10 })
                }
            }
            try await group.waitForAll()
        }
        let batches = log.batches.withLock { $0 }
        #expect(batches.allSatisfy { $0.count <= 50 })
        #expect(batches.joined().count == (0..<200).reduce(0) { $0 + $1 % 4 })
    }

    @Test("calls that arrive while a write is in flight share one write")
    func sharing() async throws {
        let log = Log()
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let (entered, enter) = AsyncStream.makeStream(of: Void.self)
        let batcher = CallBatcher<Int, Int>(limit: 1000) { items in
            let isFirst = log.batches.withLock { batches in
                batches.append(items)
                return batches.count == 1
            }
            if isFirst {
                enter.yield()
                for await _ in gate { break }
            }
            return items
        }
        async let first = batcher.submit([0])
        for await _ in entered { break }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for item in 1...64 { group.addTask { _ = try await batcher.submit([item]) } }
            // The 64 are waiting once the queue holds them; yielding lets them get there, the gate keeps the
            // first write in flight meanwhile.
            for _ in 0..<10_000 where batcher.waitingCalls < 64 { await Task.yield() }
            #expect(batcher.waitingCalls == 64)
            open.yield()
            try await group.waitForAll()
        }
        #expect(try await first == [0])
        #expect(log.batches.withLock { $0.map(\.count) } == [1, 64])
    }

    @Test("an error reaches every caller of the batch, and the next write goes on")
    func failure() async throws {
        struct Refusal: Error {}
        let failing = Mutex(true)
        let batcher = CallBatcher<Int, Int>(limit: 10) { items in
            if failing.withLock({ $0 }) { throw Refusal() }
            return items
        }
        await #expect(throws: Refusal.self) { try await batcher.submit([1]) }
        failing.withLock { $0 = false }
        #expect(try await batcher.submit([2]) == [2])
    }

    @Test("a store that answers too little is an error, not a wrong answer")
    func miscount() async throws {
        let batcher = CallBatcher<Int, Int>(limit: 10) { _ in [] }
        await #expect(throws: StoreError.self) { try await batcher.submit([1]) }
    }
}
