// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

/// A bounded number of connections, lent for one call each.
///
/// While the server is away callers fail at once instead of waiting for a time-out each, and one of them tries again after
/// a pause that doubles up to 2 s.
final class PostgresPool: Sendable {
    private struct Shared: Sendable {
        var state: PostgresPoolState<PostgresConnection>
        var waiting: [Int: CheckedContinuation<Turn, Never>] = [:]
        /// Turns of callers that are between asking and waiting.
        var early: [Int: Turn] = [:]

        /// The continuations to resume outside the lock.
        mutating func take(_ woken: [PostgresPoolState<PostgresConnection>.Woken]) -> [Wake] {
            woken.compactMap { ticket, turn in
                if let continuation = waiting.removeValue(forKey: ticket) { return (continuation, turn) }
                early[ticket] = turn
                return nil
            }
        }
    }

    private typealias Turn = PostgresPoolState<PostgresConnection>.Turn
    private typealias Wake = (continuation: CheckedContinuation<Turn, Never>, turn: Turn)

    private let target: PostgresLink.Target
    private let name: String
    private let patience: Duration
    private let clock: any ErrandClock
    private let chance: Chance
    private let greet: @Sendable (PostgresLink) throws -> Void
    private let shared: Mutex<Shared>

    /// - Parameter greet: Run on each new connection before anybody has it; a failure of it is one to connect.
    init(
        _ target: PostgresLink.Target,
        named name: String,
        limit: Int,
        patience: Duration,
        clock: any ErrandClock = SystemClock.shared,
        chance: Chance = .system,
        greet: @escaping @Sendable (PostgresLink) throws -> Void
    ) {
        self.target = target
        self.name = name
        self.patience = patience
        self.clock = clock
        self.chance = chance
        self.greet = greet
        shared = Mutex(Shared(state: PostgresPoolState(limit: limit)))
    }

    /// What keeps the pool from the server; `nil` when all is well as far as is known.
    var trouble: StoreError? { shared.withLock { $0.state.trouble } }

    /// Runs `body` with a connection, on that connection's thread.
    ///
    /// `body` throws ``PostgresFailure`` for what the connection met, anything else passes through.
    func with<Answer: Sendable>(_ body: @Sendable (PostgresLink) throws -> Answer) async throws -> Answer {
        while true {
            let (connection, isFresh) = try await borrow()
            do {
                let answer = try await connection.lend(isFresh: isFresh, body)
                giveBack(connection)
                return answer
            } catch is PostgresConnection.Stale {
                // The server went away while it was idle; nothing was sent.
                await discard(connection)
            } catch let failure as PostgresFailure where failure.endsConnection {
                await discard(connection)
                throw failure
            } catch {
                giveBack(connection)
                throw error
            }
        }
    }

    func close() async {
        let (dropped, woken) = shared.withLock { shared in
            let closed = shared.state.close()
            return (closed.dropped, shared.take(closed.woken))
        }
        wake(woken)
        for connection in dropped { await connection.close() }
    }

    private func borrow() async throws -> (PostgresConnection, isFresh: Bool) {
        var turn = shared.withLock { $0.state.ask(at: clock.uptime) }
        if case .wait(let ticket) = turn { turn = await wait(ticket) }
        switch turn {
        case .use(let connection): return (connection, false)
        case .open: return (try await open(), true)
        case .refuse(let error): throw error
        case .wait: throw Self.busy(patience)
        }
    }

    private func wait(_ ticket: Int) async -> Turn {
        let timer = clock.schedule(after: patience) { [weak self] in self?.giveUp(ticket) }
        defer { timer.cancel() }
        return await withCheckedContinuation { continuation in
            let turn = shared.withLock { shared in
                let turn = shared.early.removeValue(forKey: ticket)
                if turn == nil { shared.waiting[ticket] = continuation }
                return turn
            }
            if let turn { continuation.resume(returning: turn) }
        }
    }

    private func giveUp(_ ticket: Int) {
        wake(
            shared.withLock { shared in
                guard shared.state.giveUp(ticket) else { return [] }
                return shared.take([(ticket, .refuse(Self.busy(patience)))])
            }
        )
    }

    private static func busy(_ patience: Duration) -> StoreError {
        StoreError(
            .unavailable,
            "all connections to PostgreSQL were busy for \(patience.inSeconds) s; nothing was written; try again"
        )
    }

    private func wake(_ woken: [Wake]) {
        for (continuation, turn) in woken { continuation.resume(returning: turn) }
    }

    private func open() async throws -> PostgresConnection {
        let connection = PostgresConnection(target, named: name)
        do {
            try await connection.open(greet)
        } catch {
            let error = StoreError(any: error, .connecting)
            let share = chance.draw { Double.random(in: 0...1, using: &$0) }
            wake(shared.withLock { $0.take($0.state.failed(error, at: clock.uptime, share: share)) })
            throw error
        }
        shared.withLock { $0.state.opened() }
        return connection
    }

    private func giveBack(_ connection: PostgresConnection) {
        wake(shared.withLock { $0.take($0.state.release(connection).map { [$0] } ?? []) })
    }

    private func discard(_ connection: PostgresConnection) async {
        let (dropped, woken) = shared.withLock { shared in
            let lost = shared.state.lose()
            return (lost.dropped, shared.take(lost.woken.map { [$0] } ?? []))
        }
        wake(woken)
        await connection.close()
        for other in dropped { await other.close() }
    }
}
