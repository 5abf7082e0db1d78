// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

/// A lane as the row says it.
struct PostgresLane: Sendable {
    var number: Int64
    var queue: QueueName
    var name: JobName
    var version: Int
}

/// The lanes this process has met; they are never deleted, so what is known stays true.
final class PostgresLanes: Sendable {
    struct Key: Hashable, Sendable {
        var queue: QueueName
        var name: JobName
        var version: Int
    }

    private struct Known {
        var byNumber: [Int64: PostgresLane] = [:]
        var byKey: [Key: Int64] = [:]
    }

    private let known = Mutex(Known())

    func number(of key: Key) -> Int64? { known.withLock { $0.byKey[key] } }

    func lane(_ number: Int64) -> PostgresLane? { known.withLock { $0.byNumber[number] } }

    /// Only lanes that are committed: a rolled-back one is a number nobody knows.
    func remember(_ lanes: [PostgresLane]) {
        known.withLock { known in
            for lane in lanes {
                known.byNumber[lane.number] = lane
                known.byKey[Key(queue: lane.queue, name: lane.name, version: lane.version)] = lane.number
            }
        }
    }
}

extension NewJob {
    var laneKey: PostgresLanes.Key { .init(queue: queue, name: name, version: payload.version) }
}
