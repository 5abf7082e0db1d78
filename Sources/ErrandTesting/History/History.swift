// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import Errand
import Synchronization

/// What happened, in the order in which it happened. Only ever grows.
package final class History: Sendable {
    private struct State {
        var events: [HistoryEvent] = []
        var calls = 0
        /// The call whose effect is under way.
        var current = 0
        var faults: [String: Int] = [:]
    }

    private let state = Mutex(State())
    private let time: @Sendable () -> (Timestamp, Duration)

    /// - Parameter time: The true time of day and the time since the start.
    package init(time: @escaping @Sendable () -> (Timestamp, Duration)) {
        self.time = time
    }

    package var events: [HistoryEvent] { state.withLock { $0.events } }

    /// How often something was made to go wrong, by kind.
    package var faults: [String: Int] { state.withLock { $0.faults } }

    package func record(_ what: HistoryEvent.What, in process: Int) {
        let (now, uptime) = time()
        state.withLock { state in
            if case .fault(let words) = what {
                state.faults[String(words.prefix { $0 != " " }), default: 0] += 1
            }
            state.events.append(HistoryEvent(at: now, uptime: uptime, process: process, what: what))
        }
    }

    /// A call sets out.
    /// - Returns: Its number.
    package func invoke(_ request: StoreRequest, in process: Int) -> Int {
        let call = state.withLock { state in
            state.calls += 1
            return state.calls
        }
        record(.invoked(call: call, request), in: process)
        return call
    }

    /// What rows change from here on is the effect of this call.
    package func begin(_ call: Int) {
        state.withLock { $0.current = call }
    }

    /// For the journal of a store; see `MemoryStore`.
    package func changed(_ before: JobRecord?, _ after: JobRecord?) {
        let call = state.withLock { $0.current }
        record(.changed(call: call, before: before, after: after), in: 0)
    }
}
