// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// Which commands wait to be sent and which for their answer, on one connection that comes and goes. Pure: events in,
/// decisions out.
struct CommandQueue<Reply: Sendable>: Sendable {
    /// A command with whoever waits for its answer.
    struct Entry: Sendable {
        let command: RedisCommand
        /// When it is given up, on the clock's uptime.
        let deadline: Duration
        let reply: Reply
    }

    /// The connection as far as commands are concerned.
    enum Phase: Sendable {
        /// Nobody asked for anything yet. Leaves to `connecting`.
        case idle
        /// An attempt is under way; commands wait for it. Leaves to `ready` or `waiting`.
        case connecting
        /// Commands are sent. Leaves to `connecting`.
        case ready
        /// The last attempt failed, the next comes by itself; commands are refused until then.
        case waiting(RedisError)
        /// Final.
        case closed
    }

    /// What an arriving command does.
    enum Arrival: Sendable {
        /// Connect, and then send it.
        case connect
        /// Send what may be sent.
        case send
        /// It waits; somebody else already sends or connects.
        case wait
        /// Nothing is done.
        case refuse(RedisError)
    }

    private(set) var phase = Phase.idle
    private var unsent: Deque<Entry> = []
    private var unanswered: Deque<Entry> = []
    private var bytes = 0
    private var failures = 0
    /// Whether somebody was told to send and has not come yet.
    private var isSending = false
    private let limits: (commands: Int, bytes: Int)

    init(commands: Int, bytes: Int) {
        limits = (max(commands, 1), max(bytes, 1))
    }

    /// Whether nothing waits.
    var isEmpty: Bool { unsent.isEmpty && unanswered.isEmpty }

    private var hasRoom: Bool {
        unanswered.isEmpty || (unanswered.count < limits.commands && bytes < limits.bytes)
    }

    mutating func arrive(_ entry: Entry) -> Arrival {
        switch phase {
        case .closed: return .refuse(RedisError(.closed, "the client was closed"))
        case .waiting(let error): return .refuse(error.unsent)
        case .idle:
            unsent.append(entry)
            phase = .connecting
            return .connect
        case .connecting:
            unsent.append(entry)
            return .wait
        case .ready:
            unsent.append(entry)
            guard !isSending, hasRoom else { return .wait }
            isSending = true
            return .send
        }
    }

    /// The commands to send now, in order.
    mutating func takeUnsent() -> [Entry] {
        isSending = false
        guard case .ready = phase else { return [] }
        var taken: [Entry] = []
        while hasRoom, let entry = unsent.popFirst() {
            bytes += entry.command.size
            unanswered.append(entry)
            taken.append(entry)
        }
        return taken
    }

    /// So many answers came.
    /// - Returns: Whose they are, in order; fewer when nobody asked for some. And whether there is something to send.
    mutating func answered(_ count: Int) -> (entries: [Entry], sends: Bool) {
        var entries: [Entry] = []
        entries.reserveCapacity(count)
        while entries.count < count, let entry = unanswered.popFirst() {
            bytes -= entry.command.size
            entries.append(entry)
        }
        let sends = !unsent.isEmpty && hasRoom && !isSending
        if sends { isSending = true }
        return (entries, sends)
    }

    /// The connection is there.
    /// - Returns: Whether there is something to send; false also when it is not wanted any more.
    mutating func connected() -> Bool {
        guard case .connecting = phase else { return false }
        phase = .ready
        failures = 0
        isSending = !unsent.isEmpty
        return isSending
    }

    /// The connection is gone; the next attempt begins at once.
    /// - Returns: Who waits in vain for an answer, or `nil` when it was closed on purpose.
    mutating func disconnected() -> [Entry]? {
        guard case .ready = phase else { return nil }
        phase = .connecting
        isSending = false
        bytes = 0
        defer { unanswered.removeAll() }
        return Array(unanswered)
    }

    /// An attempt failed.
    /// - Returns: Who waited for it, and the number of this failure, from 1; `nil` when it was closed meanwhile.
    mutating func connectFailed(_ error: RedisError) -> (entries: [Entry], failure: Int)? {
        guard case .connecting = phase else { return nil }
        phase = .waiting(error)
        failures += 1
        defer { unsent.removeAll() }
        return (Array(unsent), failures)
    }

    /// The wait is over.
    /// - Returns: Whether to connect.
    mutating func retries() -> Bool {
        guard case .waiting = phase else { return false }
        phase = .connecting
        return true
    }

    /// Gives up what is over time.
    /// - Returns: Commands that were not sent, and whether one that was sent has waited too long.
    mutating func expire(at uptime: Duration) -> (unsent: [Entry], isStuck: Bool) {
        var late: [Entry] = []
        while let first = unsent.first, first.deadline <= uptime { late.append(unsent.removeFirst()) }
        return (late, unanswered.first.map { $0.deadline <= uptime } ?? false)
    }

    /// Nothing is sent any more.
    /// - Returns: Who waits to be sent and who for an answer.
    mutating func close() -> (unsent: [Entry], unanswered: [Entry]) {
        phase = .closed
        defer {
            unsent.removeAll()
            unanswered.removeAll()
        }
        return (Array(unsent), Array(unanswered))
    }
}
