// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Bounded fan-out of what happens in this process. Costs one relaxed load per event while nobody listens.
public final class EventHub: Sendable {
    private struct State {
        var nextToken = 0
        var observers: [Int: @Sendable (ErrandEvent) -> Void] = [:]
    }

    private let state = Mutex(State())
    private let count = Atomic<Int>(0)

    /// A hub without subscribers.
    public init() {}

    /// The events from now on. A subscriber that falls more than `buffer` events behind loses the oldest.
    public func events(buffer: Int = 1000) -> AsyncStream<ErrandEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: ErrandEvent.self,
            bufferingPolicy: .bufferingNewest(max(buffer, 1))
        )
        let registration = observe { continuation.yield($0) }
        continuation.onTermination = { _ in registration.cancel() }
        return stream
    }

    /// Calls `observer` for every event from now on, on whatever thread it happens; it must be short.
    package func observe(_ observer: @escaping @Sendable (ErrandEvent) -> Void) -> HubRegistration {
        let token = state.withLock { state in
            state.nextToken += 1
            state.observers[state.nextToken] = observer
            return state.nextToken
        }
        count.add(1, ordering: .relaxed)
        return HubRegistration { [weak self] in self?.remove(token) }
    }

    /// Tells every subscriber; `event` is built only if there is one.
    func publish(_ event: @autoclosure () -> ErrandEvent) {
        guard count.load(ordering: .relaxed) > 0 else { return }
        let observers = state.withLock { Array($0.observers.values) }
        guard !observers.isEmpty else { return }
        let event = event()
        for observer in observers { observer(event) }
    }

    private func remove(_ token: Int) {
        let removed = state.withLock { $0.observers.removeValue(forKey: token) }
        if removed != nil { count.subtract(1, ordering: .relaxed) }
    }
}
