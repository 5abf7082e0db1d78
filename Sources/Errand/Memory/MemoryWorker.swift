// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// A registered worker and the rows it holds.
final class MemoryWorker {
    var registration: WorkerRegistration
    let startedAt: Timestamp
    var lastSeen: Timestamp
    private(set) var held: [MemoryRow] = []

    init(_ registration: WorkerRegistration, at now: Timestamp) {
        self.registration = registration
        startedAt = now
        lastSeen = now
    }

    func take(_ row: MemoryRow) {
        row.heldIndex = held.count
        held.append(row)
    }

    func drop(_ row: MemoryRow) {
        guard let last = held.popLast(), last !== row else { return }
        last.heldIndex = row.heldIndex
        held[row.heldIndex] = last
    }
}
