// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite("How queues share a claim")
struct QueueSharesTests {
    func picks(_ count: Int, _ shares: inout QueueShares, available: (Int) -> Bool = { _ in true }) -> [Int] {
        (0..<count).compactMap { _ in shares.next(available: available) }
    }

    @Test("each queue gets its share, and none waits longer than the others allow")
    func proportions() {
        let weights = [5, 3, 1, 1]
        let queues = weights.enumerated()
            .map { ClaimRequest.Queue(name: QueueName("q\($0)"), slots: 10_000, weight: $1) }
        var shares = QueueShares(order: .weighted, queues: queues)
        let picked = picks(1000, &shares)
        for (index, weight) in weights.enumerated() {
            #expect(picked.count { $0 == index } == weight * 100)
            let places = picked.indices.filter { picked[$0] == index }
            let longest = zip(places, places.dropFirst()).map { $1 - $0 }.max() ?? 0
            #expect(longest <= 10 / weight * 2, "queue \(index) waited \(longest)")
        }
    }

    @Test("strict order takes the first queue that has work and slots")
    func strict() {
        let queues = [2, 1, 9].enumerated().map { ClaimRequest.Queue(name: QueueName("q\($0)"), slots: $1) }
        var shares = QueueShares(order: .strict, queues: queues)
        #expect(picks(5, &shares) == [0, 0, 1, 2, 2])
        #expect(picks(2, &shares) { $0 == 1 } == [])
    }

    @Test("slots bound a queue whatever its weight, and an empty queue gives its share away")
    func slots() {
        let queues = [
            ClaimRequest.Queue(name: "a", slots: 2, weight: 100), ClaimRequest.Queue(name: "b", slots: 50),
            ClaimRequest.Queue(name: "c", slots: 50),
        ]
        var shares = QueueShares(order: .weighted, queues: queues)
        let picked = picks(20, &shares) { $0 != 2 }
        #expect(picked.count { $0 == 0 } == 2)
        #expect(picked.count { $0 == 1 } == 18)
    }

    @Test("credit that is carried over makes single claims as fair as one of many")
    func credit() {
        let weights: [QueueName: Int] = ["a": 7, "b": 2, "c": 1]
        var credits: [QueueName: Int] = [:]
        var taken: [QueueName: Int] = [:]
        for _ in 0..<100 {
            let queues = weights.keys.sorted()
                .map { ClaimRequest.Queue(name: $0, slots: 1, weight: weights[$0] ?? 1, credit: credits[$0] ?? 0) }
            var shares = QueueShares(order: .weighted, queues: queues)
            if let index = shares.next(available: { _ in true }) { taken[queues[index].name, default: 0] += 1 }
            credits = shares.credits
        }
        #expect(taken == ["a": 70, "b": 20, "c": 10])
    }

    @Test("no queues, no pick")
    func none() {
        var shares = QueueShares(order: .weighted, queues: [])
        #expect(shares.next { _ in true } == nil)
    }
}
