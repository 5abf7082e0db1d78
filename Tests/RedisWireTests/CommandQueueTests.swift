// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RedisWire

@Suite("What waits to be sent and what for an answer")
struct CommandQueueTests {
    private func entry(_ number: Int, deadline: Duration = .seconds(5), size: Int = 10) -> CommandQueue<Int>.Entry {
        var command = RedisCommand("X")
        command.append(String(repeating: "x", count: size))
        return CommandQueue<Int>.Entry(command: command, deadline: deadline, reply: number)
    }

    private func connected(commands: Int = 100, bytes: Int = 10_000) -> CommandQueue<Int> {
        var queue = CommandQueue<Int>(commands: commands, bytes: bytes)
        _ = queue.arrive(entry(0))
        _ = queue.connected()
        _ = queue.takeUnsent()
        _ = queue.answered(1)
        return queue
    }

    @Test("the first command connects, the next wait for it, and all are sent in order")
    func connects() {
        var queue = CommandQueue<Int>(commands: 10, bytes: 1000)
        guard case .connect = queue.arrive(entry(1)) else {
            Issue.record("it did not connect")
            return
        }
        guard case .wait = queue.arrive(entry(2)) else {
            Issue.record("it did not wait")
            return
        }
        holds(queue.takeUnsent().isEmpty)
        let sends = queue.connected()
        #expect(sends)
        holds(queue.takeUnsent().map(\.reply) == [1, 2])
        holds(queue.answered(2).entries.map(\.reply) == [1, 2])
        #expect(queue.isEmpty)
    }

    @Test("no more commands are in flight than allowed, and the rest follows the answers")
    func bounds() {
        var queue = connected(commands: 3)
        for number in 1...5 { _ = queue.arrive(entry(number)) }
        holds(queue.takeUnsent().map(\.reply) == [1, 2, 3])
        holds(queue.takeUnsent().isEmpty)
        let answered = queue.answered(2)
        #expect(answered.entries.map(\.reply) == [1, 2])
        #expect(answered.sends)
        holds(queue.takeUnsent().map(\.reply) == [4, 5])
    }

    @Test("no more bytes are in flight than allowed, but one command may be larger")
    func bytes() {
        var queue = connected(bytes: 1000)
        _ = queue.arrive(entry(1, size: 5000))
        _ = queue.arrive(entry(2))
        holds(queue.takeUnsent().map(\.reply) == [1])
        _ = queue.answered(1)
        holds(queue.takeUnsent().map(\.reply) == [2])
    }

    @Test("a lost connection leaves open what was sent and keeps what was not")
    func lost() {
        var queue = connected(commands: 1)
        _ = queue.arrive(entry(1))
        _ = queue.arrive(entry(2))
        _ = queue.takeUnsent()
        holds(queue.disconnected()?.map(\.reply) == [1])
        holds(queue.connected())
        holds(queue.takeUnsent().map(\.reply) == [2])
    }

    @Test("a failed attempt refuses who waited and who comes until the next one")
    func failed() {
        var queue = CommandQueue<Int>(commands: 10, bytes: 1000)
        _ = queue.arrive(entry(1))
        let failed = queue.connectFailed(RedisError(.notSent, "refused"))
        #expect(failed?.entries.map(\.reply) == [1])
        #expect(failed?.failure == 1)
        guard case .refuse(let error) = queue.arrive(entry(2)) else {
            Issue.record("it did not refuse")
            return
        }
        #expect(error.code == .notSent)
        holds(queue.retries())
        guard case .wait = queue.arrive(entry(3)) else {
            Issue.record("it did not wait")
            return
        }
        holds(queue.connectFailed(error)?.failure == 2)
        holds(queue.retries())
        holds(!queue.connected())
        let last = queue.arrive(entry(4))
        #expect(last.sends)
        _ = queue.disconnected()
        holds(queue.connectFailed(error)?.failure == 1)
    }

    @Test("what is over time is given up when it was not sent, and ends the connection when it was")
    func expires() {
        var queue = connected(commands: 1)
        _ = queue.arrive(entry(1, deadline: .seconds(3)))
        _ = queue.arrive(entry(2, deadline: .seconds(4)))
        _ = queue.takeUnsent()
        holds(queue.expire(at: .seconds(2)).unsent.isEmpty)
        holds(!queue.expire(at: .seconds(2)).isStuck)
        let expired = queue.expire(at: .seconds(4))
        #expect(expired.unsent.map(\.reply) == [2])
        #expect(expired.isStuck)
    }

    @Test("a closed queue takes nothing and gives everything back")
    func closes() {
        var queue = connected(commands: 1)
        _ = queue.arrive(entry(1))
        _ = queue.arrive(entry(2))
        _ = queue.takeUnsent()
        let left = queue.close()
        #expect(left.unanswered.map(\.reply) == [1])
        #expect(left.unsent.map(\.reply) == [2])
        guard case .refuse(let error) = queue.arrive(entry(3)) else {
            Issue.record("it did not refuse")
            return
        }
        #expect(error.code == .closed)
        holds(queue.disconnected() == nil)
        holds(!queue.retries())
    }
}

extension CommandQueue.Arrival {
    fileprivate var sends: Bool {
        if case .send = self { true } else { false }
    }
}

/// `#expect` does not take calls that change something.
func holds(_ isTrue: Bool, at location: SourceLocation = #_sourceLocation) {
    #expect(isTrue, sourceLocation: location)
}
