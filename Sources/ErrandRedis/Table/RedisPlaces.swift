// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// One index that a job is in, and where.
enum RedisPlace: Hashable {
    /// Ready: by the time since which, in the lane of its queue, name, version and priority.
    case lane(kind: String, version: Int, priority: Int, since: Int64)
    /// Scheduled or retrying: by when it is due, in its queue.
    case due(queue: QueueName, at: Int64)
    /// Running, in the name of a worker.
    case held(WorkerID)
    /// Final: by its end, in its queue and state.
    case finished(queue: QueueName, state: JobState, at: Int64)
    /// Failed.
    case failed
    /// Pending with an end: when it is too late.
    case expiry(at: Int64)
    /// Held for a time: when that is over.
    case holdEnd(at: Int64)
    /// Has this tag.
    case tag(String)

    /// All places of a record.
    static func all(of record: JobRecord) -> Set<RedisPlace> {
        var places = Set(record.tags.map { RedisPlace.tag($0) })
        switch record.state {
        case .running:
            if let worker = record.worker { places.insert(.held(worker)) }
            return places
        case .succeeded, .failed, .cancelled, .expired, .skipped:
            let end = (record.finishedAt ?? record.createdAt).microseconds
            places.insert(.finished(queue: record.queue, state: record.state, at: end))
            if record.state == .failed { places.insert(.failed) }
            return places
        case .waiting, .scheduled, .retrying, .ready: break
        }
        if let hold = record.hold {
            if let until = hold.until { places.insert(.holdEnd(at: until.microseconds)) }
            return places
        }
        switch record.state {
        case .ready:
            let place = RedisPlace.lane(
                kind: record.kind,
                version: record.payload.version,
                priority: record.priority.level,
                since: record.runAt.microseconds
            )
            places.insert(place)
        case .scheduled, .retrying:
            places.insert(.due(queue: record.queue, at: record.runAt.microseconds))
        default: break
        }
        let startBy = record.startedAt == nil ? record.startBy : nil
        if let end = [startBy, record.deadline].compactMap(\.self).min() {
            places.insert(.expiry(at: end.microseconds))
        }
        return places
    }
}

extension JobRecord {
    /// Queue and name, by which jobs are counted.
    var kind: String { "\(queue.rawValue)\0\(name.rawValue)" }
}
