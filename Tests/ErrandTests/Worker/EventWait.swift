// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Waits for events of a hub in the order in which a test expects them.
final class EventWait {
    private var iterator: AsyncStream<ErrandEvent>.Iterator

    init(_ hub: EventHub) {
        iterator = hub.events(buffer: 100_000).makeAsyncIterator()
    }

    /// The next event for which `pick` gives a value; others are passed over.
    func next<Value>(_ pick: (ErrandEvent) -> Value?) async -> Value? {
        while let event = await iterator.next(isolation: nil) {
            if let value = pick(event) { return value }
        }
        return nil
    }

    /// The state in which the next ended attempt of any job left it.
    func end() async -> JobState? {
        await next { if case .ended(_, _, _, let state, _) = $0 { state } else { nil } }
    }

    /// The next started attempt's number.
    func start() async -> Int? {
        await next { if case .started(_, _, _, let attempt) = $0 { attempt } else { nil } }
    }
}
