// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The end of an attempt that the store does not know yet.
struct Ending: Sendable {
    let lease: Lease
    let outcome: Outcome
    /// The attempt; `nil` for a job that was claimed and never started.
    var job: RunningJob?
    /// What could not be stored was replaced by an error that can.
    var isLastTry = false
}

/// Endings on their way to the store. Whoever ends an attempt puts it here and goes on; one loop takes what gathered
/// while it wrote, so a thousand ends share a write, and none of them costs a wait or a task of its own.
///
/// What waits is bounded by the worker: it claims nothing more while too much is unsettled.
final class SettleQueue: Sendable {
    private let waiting = BusyMutex<[Ending]>([])

    /// - Returns: Whether nothing was waiting: the loop may be asleep.
    func put(_ ending: Ending) -> Bool {
        waiting.withLock { waiting in
            waiting.append(ending)
            return waiting.count == 1
        }
    }

    /// The same for many.
    func put(_ endings: [Ending]) -> Bool {
        waiting.withLock { waiting in
            defer { waiting.append(contentsOf: endings) }
            return waiting.isEmpty
        }
    }

    /// Up to `limit` of them, in the order of their coming.
    func take(_ limit: Int) -> [Ending] {
        waiting.withLock { waiting in
            guard waiting.count > limit else {
                defer { waiting = [] }
                return waiting
            }
            defer { waiting.removeFirst(limit) }
            return Array(waiting.prefix(limit))
        }
    }
}
