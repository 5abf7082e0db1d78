// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Opens once and stays open; whoever waits, waits for that alone, also in a cancelled task.
final class Latch: Sendable {
    private struct State {
        var isOpen = false
        var actions: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())

    func open() {
        let actions = state.withLock { state in
            state.isOpen = true
            defer { state.actions = [] }
            return state.actions
        }
        for action in actions { action() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in onOpen { continuation.resume() } }
    }

    /// Runs `action` once, when the latch opens, or now when it is open.
    func onOpen(_ action: @escaping @Sendable () -> Void) {
        let isOpen = state.withLock { state in
            if !state.isOpen { state.actions.append(action) }
            return state.isOpen
        }
        if isOpen { action() }
    }
}

extension ErrandClock {
    /// Waits this long whatever happens to the task: for a loop that works for others too, and must neither stop
    /// nor spin when the task that leads it is cancelled.
    func wait(for duration: Duration) async {
        let latch = Latch()
        schedule(after: duration) { latch.open() }
        await latch.wait()
    }
}
