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

    /// The numbers of the lanes of these jobs; 0 for one that is not known.
    func numbers(of jobs: [NewJob]) -> [Int64] {
        known.withLock { known in
            var (last, number): (Key?, Int64) = (nil, 0)
            return jobs.map { job in
                // Jobs that come together are mostly of one kind.
                if let last, job.isOf(last) { return number }
                let key = job.laneKey
                (last, number) = (key, known.byKey[key] ?? 0)
                return number
            }
        }
    }

    func unknown(of keys: Set<Key>) -> Set<Key> { known.withLock { known in keys.filter { known.byKey[$0] == nil } } }

    static func keys(of jobs: [NewJob]) -> Set<Key> {
        var keys: Set<Key> = []
        var last: Key?
        for job in jobs {
            if let last, job.isOf(last) { continue }
            let key = job.laneKey
            keys.insert(key)
            last = key
        }
        return keys
    }

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

    func isOf(_ key: PostgresLanes.Key) -> Bool {
        name == key.name && queue == key.queue && payload.version == key.version
    }
}
