// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule

extension BackgroundRunnerStateMachine {
    /// Takes nothing new; tasks that wait for a retry get one last attempt at once.
    mutating func beginDrain() -> Actions {
        var actions = Actions()
        guard phase == .accepting else { return actions }
        phase = .draining
        for (task, entry) in entries.sorted(by: { $0.key < $1.key }) where entry.stage == .delayed {
            rejoin(task, isLast: true)
        }
        for next in held {
            actions.admitted.append(next.id)
            add(next.lines, &actions)
        }
        held = []
        pump(&actions)
        return actions
    }

    /// Ends the drain if nothing is left; from then on nothing at all is taken.
    /// - Returns: Whether nothing was left.
    mutating func endIfIdle() -> Bool {
        guard isIdle else { return false }
        phase = .cancelling
        return true
    }

    /// Drops what does not run.
    /// - Returns: What was dropped, and what runs and is to be cancelled.
    mutating func beginCancel() -> (dropped: [TaskID], running: [TaskID], actions: Actions) {
        var actions = Actions()
        phase = .cancelling
        for next in held {
            actions.admitted.append(next.id)
            add(next.lines, &actions)
        }
        held = []
        let dropped = entries.filter { $0.value.stage != .running }.keys.sorted()
        for task in dropped { entries[task] = nil }
        ready = []
        urgent = []
        lines = lines.filter { $0.value.running > 0 }
        for line in lines.keys { lines[line]?.waiting = [] }
        count(queued: -queued, &actions)
        return (dropped, runningTasks, actions)
    }
}
