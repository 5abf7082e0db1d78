// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite struct TimerQueueTests {
    @Test("Due actions come out in order of deadline, equal ones in order of adding")
    func order() {
        var queue = TimerQueue<String>()
        _ = queue.add("late", at: .seconds(3))
        _ = queue.add("first", at: .seconds(1))
        _ = queue.add("second", at: .seconds(1))
        var taken: [String] = []
        while let due = queue.takeDue(at: .seconds(2)) { taken.append(due.action) }
        #expect(taken == ["first", "second"])
        #expect(queue.earliest == .seconds(3))
    }

    @Test("Only an action that is earlier than all others asks for the sleeper to be woken")
    func earliest() {
        var queue = TimerQueue<Int>()
        #expect(queue.add(1, at: .seconds(5)).isEarliest)
        #expect(!queue.add(2, at: .seconds(6)).isEarliest)
        #expect(!queue.add(3, at: .seconds(5)).isEarliest)
        #expect(queue.add(4, at: .seconds(4)).isEarliest)
    }

    @Test("A cancelled action is let go of at once and never comes out")
    func cancel() {
        final class Token {}
        var queue = TimerQueue<Token>()
        weak var token: Token?
        let id: UInt64
        do {
            let strong = Token()
            token = strong
            id = queue.add(strong, at: .seconds(1)).id
        }
        #expect(token != nil)
        _ = queue.cancel(id)
        #expect(token == nil)
        #expect(queue.cancel(id) == nil)
        #expect(queue.takeDue(at: .seconds(9)) == nil)
    }

    @Test("A hundred thousand cancelled timers leave no more than a few places behind")
    func compaction() {
        var queue = TimerQueue<Int>()
        for number in 0..<100_000 {
            let id = queue.add(number, at: .minutes(5)).id
            _ = queue.cancel(id)
        }
        #expect(queue.count == 0)
        #expect(queue.placeCount <= 65)
    }
}
