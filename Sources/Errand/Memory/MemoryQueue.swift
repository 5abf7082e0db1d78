// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// The ready jobs of one queue, name, payload version and priority, by rank.
///
/// One lane per priority keeps each lane in the order in which its jobs became ready, so the oldest ready job
/// of a queue is the first of one of its lanes, and a lane nobody can run costs a claim one look.
final class MemoryLane {
    struct Key: Hashable {
        let name: JobName
        let version: Int
        let priority: Int
    }

    let key: Key
    var order = MemoryOrder(.place)

    init(key: Key) {
        self.key = key
    }
}

/// The indexes of one queue.
final class MemoryQueue {
    let name: QueueName
    var lanes: [MemoryLane.Key: MemoryLane] = [:]
    /// Scheduled and retrying jobs by run time.
    var due = MemoryOrder(.place)
    /// Final jobs by their end, one order for each final state.
    var finished = JobState.allCases.filter(\.isFinal).map { _ in MemoryOrder(.place) }
    /// Counters by job name.
    var tallies: [JobName: MemoryTally] = [:]
    /// How many rows are in the queue.
    var rows = 0

    init(name: QueueName) {
        self.name = name
    }

    func lane(for record: JobRecord) -> MemoryLane {
        let key = MemoryLane.Key(
            name: record.name,
            version: record.payload.version,
            priority: record.priority.level
        )
        if let lane = lanes[key] { return lane }
        if lanes.count >= 64 { lanes = lanes.filter { $0.value.order.live > 0 } }
        let lane = MemoryLane(key: key)
        lanes[key] = lane
        return lane
    }

    func tally(for name: JobName) -> MemoryTally {
        if let tally = tallies[name] { return tally }
        let tally = MemoryTally(queue: self.name, name: name)
        tallies[name] = tally
        return tally
    }
}
