// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule

extension BackgroundRunnerStateMachine {
    /// An attempt has ended.
    mutating func ended(_ task: TaskID, _ result: Result) -> (Verdict, Actions) {
        var actions = Actions()
        guard var entry = entries[task], entry.stage == .running else { return (.unknown, actions) }
        freeSlot(of: entry, &actions)
        var verdict = Verdict.ended
        if case .failed = result, entry.attemptsLeft > 0, !entry.hadLastChance, phase != .cancelling {
            verdict = phase == .draining ? .lastChance : .retryLater
            entry.stage = .delayed
            entries[task] = entry
            count(queued: 1, &actions)
            if verdict == .lastChance { rejoin(task, isLast: true) }
        } else {
            leave(task, succeeded: result == .succeeded, &actions)
        }
        pump(&actions)
        admit(&actions)
        return (verdict, actions)
    }

    /// The delay before a task's next attempt is over.
    mutating func retryDue(_ task: TaskID) -> Actions {
        var actions = Actions()
        guard entries[task]?.stage == .delayed else { return actions }
        rejoin(task, isLast: false)
        pump(&actions)
        return actions
    }

    /// A task that ignores its cancellation loses its slot and counts as ended.
    /// - Returns: `nil` when it has ended in the meantime.
    mutating func abandon(_ task: TaskID) -> Actions? {
        guard let entry = entries[task], entry.stage == .running else { return nil }
        var actions = Actions()
        freeSlot(of: entry, &actions)
        leave(task, succeeded: false, &actions)
        pump(&actions)
        admit(&actions)
        return actions
    }

    /// Takes a task out that does not run.
    /// - Returns: `nil` when it runs or has ended.
    mutating func remove(_ task: TaskID) -> Actions? {
        for hold in held.indices {
            for line in held[hold].lines.indices { held[hold].lines[line].tasks.removeAll { $0.id == task } }
        }
        guard let entry = entries[task], entry.stage != .running else { return nil }
        var actions = Actions()
        if let line = entry.line { lines[line]?.waiting.removeAll { $0 == task } }
        if entry.isUrgent { urgent.removeAll { $0 == task } }
        count(queued: -1, &actions)
        leave(task, succeeded: false, &actions)
        pump(&actions)
        admit(&actions)
        return actions
    }

    mutating func freeSlot(of entry: Entry, _ actions: inout Actions) {
        count(running: -1, &actions)
        if entry.isUrgent { urgentRunning -= 1 }
        guard let line = entry.line else { return }
        lines[line]?.running -= 1
        makeReady(line)
    }

    mutating func skip(_ task: TaskID, _ actions: inout Actions) {
        actions.skip.append(task)
        count(queued: -1, &actions)
        leave(task, succeeded: false, &actions)
    }

    /// Forgets a task and tells those that follow it.
    mutating func leave(_ task: TaskID, succeeded: Bool, _ actions: inout Actions) {
        guard let entry = entries.removeValue(forKey: task) else { return }
        for follower in entry.followers {
            guard let stage = entries[follower]?.stage else { continue }
            entries[follower]?.dependency = succeeded ? .succeeded : .missed
            guard stage == .parked else { continue }
            if succeeded { rejoin(follower, isLast: false) } else { skip(follower, &actions) }
        }
    }
}
