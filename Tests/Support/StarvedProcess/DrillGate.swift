// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Synchronization

/// Holds threads until it is opened, and knows how many it holds.
final class DrillGate: Sendable {
    private let gate = ThreadGate()
    private let count = Atomic(0)

    /// Threads that were held so far.
    var held: Int { count.load(ordering: .relaxed) }

    func hold() {
        count.add(1, ordering: .relaxed)
        gate.wait()
    }

    func open() { gate.open() }
}
