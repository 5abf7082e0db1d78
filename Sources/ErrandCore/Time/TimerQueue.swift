// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import HeapModule

/// Actions in order of their deadlines: the decisions of every clock, without time or threads.
///
/// A cancelled action leaves at once, closure and all; only its 16-byte place in the heap stays until its
/// deadline or until such places are more than half of the heap, whichever is first. So a million timeouts
/// that never fire cost what the ones alive cost.
package struct TimerQueue<Action>: ~Copyable {
    private struct Place: Comparable {
        let deadline: Duration
        let id: UInt64

        static func < (lhs: Place, rhs: Place) -> Bool {
            lhs.deadline == rhs.deadline ? lhs.id < rhs.id : lhs.deadline < rhs.deadline
        }
    }

    private var places = Heap<Place>()
    private var actions: [UInt64: Action] = [:]
    private var nextID: UInt64 = 0

    package init() {}

    /// How many actions are neither due nor cancelled.
    package var count: Int { actions.count }

    /// How many places the heap holds, cancelled ones included.
    package var placeCount: Int { places.count }

    /// The earliest deadline, which may be that of a cancelled action.
    package var earliest: Duration? { places.min?.deadline }

    /// Adds an action.
    ///
    /// `isEarliest` says that whoever waits for the earliest deadline must look again.
    package mutating func add(_ action: Action, at deadline: Duration) -> (id: UInt64, isEarliest: Bool) {
        nextID += 1
        let isEarliest = earliest.map { deadline < $0 } ?? true
        places.insert(Place(deadline: deadline, id: nextID))
        actions[nextID] = action
        return (nextID, isEarliest)
    }

    /// Takes an action out; `nil` when it is due, done or cancelled already.
    ///
    /// The caller lets go of it after leaving its lock, because that may run any `deinit`.
    package mutating func cancel(_ id: UInt64) -> Action? {
        guard let action = actions.removeValue(forKey: id) else { return nil }
        if places.count > 64 && places.count > 2 * actions.count {
            places = Heap(places.unordered.filter { actions[$0.id] != nil })
        }
        return action
    }

    /// Takes the earliest action that is due at `now`, with its deadline.
    package mutating func takeDue(at now: Duration) -> (deadline: Duration, action: Action)? {
        while let place = places.min, place.deadline <= now {
            places.removeMin()
            if let action = actions.removeValue(forKey: place.id) { return (place.deadline, action) }
        }
        return nil
    }

    /// The deadlines of all actions that wait, earliest first.
    package var deadlines: [Duration] {
        places.unordered.filter { actions[$0.id] != nil }.map(\.deadline).sorted()
    }
}
