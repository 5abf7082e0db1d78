// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// Who gets a connection, who waits, and when the server counts as away; pure, so that a table test covers it.
struct PostgresPoolState<Connection: Sendable>: Sendable {
    /// What a caller is told.
    enum Turn: Sendable {
        /// Use this one.
        case use(Connection)
        /// Make a new one; the place is reserved.
        case open
        /// Wait under this number.
        case wait(Int)
        /// The server is away, or the pool closed.
        case refuse(StoreError)
    }

    /// What a waiting caller is woken with.
    typealias Woken = (ticket: Int, turn: Turn)

    let limit: Int
    private(set) var idle: [Connection] = []
    /// Idle, lent and being made.
    private(set) var total = 0
    private var waiting: [Int] = []
    private var nextTicket = 0
    private var isClosed = false

    // The breaker: after a failure to connect nobody tries until `retryAt`, and then one alone.
    private var failures = 0
    private var retryAt: Duration = .zero
    private var isProbing = false
    private(set) var trouble: StoreError?

    init(limit: Int) {
        self.limit = max(limit, 1)
    }

    /// The shortest and the longest pause between tries while the server is away.
    static var shortest: Duration { .milliseconds(100) }
    static var longest: Duration { .seconds(2) }

    /// A caller wants a connection.
    mutating func ask(at now: Duration) -> Turn {
        if isClosed { return .refuse(.storeClosed) }
        if let connection = idle.popLast() { return .use(connection) }
        if let trouble {
            guard !isProbing, now >= retryAt else { return .refuse(trouble) }
            isProbing = true
        }
        if total < limit {
            total += 1
            return .open
        }
        nextTicket += 1
        waiting.append(nextTicket)
        return .wait(nextTicket)
    }

    /// A caller does not wait any longer.
    /// - Returns: Whether it still waited; else it was given its turn already.
    mutating func giveUp(_ ticket: Int) -> Bool {
        guard let index = waiting.firstIndex(of: ticket) else { return false }
        waiting.remove(at: index)
        return true
    }

    /// A connection was made.
    mutating func opened() {
        (failures, retryAt, isProbing, trouble) = (0, .zero, false, nil)
    }

    /// A connection could not be made. `share` is from 0 to 1 and spreads processes that try again.
    mutating func failed(_ error: StoreError, at now: Duration, share: Double) -> [Woken] {
        total -= 1
        failures += 1
        let pause = min(Self.shortest * Double(1 << min(failures - 1, 10)), Self.longest)
        retryAt = now + pause * (0.5 + share / 2)
        isProbing = false
        trouble = error
        let refused = waiting.map { ($0, Turn.refuse(error)) }
        waiting.removeAll()
        return refused
    }

    /// A caller is done with a connection that works.
    mutating func release(_ connection: Connection) -> Woken? {
        guard !isClosed else {
            total -= 1
            return nil
        }
        guard let ticket = waiting.first else {
            idle.append(connection)
            return nil
        }
        waiting.removeFirst()
        return (ticket, .use(connection))
    }

    /// A connection broke; those that are idle are most likely broken too.
    /// - Returns: The connections to drop, and who may try to make a new one.
    mutating func lose() -> (dropped: [Connection], woken: Woken?) {
        total -= 1 + idle.count
        let dropped = idle
        idle.removeAll()
        guard !isClosed, let ticket = waiting.first else { return (dropped, nil) }
        waiting.removeFirst()
        total += 1
        return (dropped, (ticket, .open))
    }

    /// Later callers are refused; lent connections are dropped as they come back.
    mutating func close() -> (dropped: [Connection], woken: [Woken]) {
        isClosed = true
        total -= idle.count
        let dropped = idle
        idle.removeAll()
        let refused = waiting.map { ($0, Turn.refuse(.storeClosed)) }
        waiting.removeAll()
        return (dropped, refused)
    }
}
