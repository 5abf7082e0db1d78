// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

/// The floors of this process; one for all its connections.
final class PostgresFloors: Sendable {
    private let state = Mutex(PostgresFloorState())

    /// The server, lanes and floors as claims take them.
    var values: [PostgresValue] { state.withLock { $0.values } }

    func floor(of lane: Int64) -> Int64? { state.withLock { $0.floor(of: lane) } }

    /// Counts claimed jobs.
    func add(_ jobs: [(lane: Int64, rank: Int64)]) {
        if !jobs.isEmpty { state.withLock { $0.add(jobs) } }
    }

    func begin(at now: Duration) -> [PostgresValue]? { state.withLock { $0.begin(at: now) } }

    func end(_ risen: PostgresFloorState.Risen?, at now: Duration) { state.withLock { $0.end(risen, at: now) } }
}

extension PostgresStore {
    /// Raises the floors beside the next claims, when so much was claimed that it is time.
    ///
    /// Claims go on from where they began until the answer is there, and when there is none.
    func raiseFloors() {
        guard let step = shared.floors.begin(at: clock.uptime) else { return }
        Task {
            let risen = try? await pool.with { link in
                PostgresFloorState.Risen(try link.query(self.shared.statements[PostgresQuery.rise.rawValue], step))
            }
            shared.floors.end(risen, at: clock.uptime)
        }
    }
}
