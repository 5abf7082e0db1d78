// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule

extension BackgroundRunnerStateMachine {
    mutating func add(_ new: [Line], _ actions: inout Actions) {
        for line in new where !line.tasks.isEmpty {
            let id = line.tasks.count > 1 ? makeLine(width: line.width) : nil
            for task in line.tasks {
                entries[task.id] = Entry(line: id, dependency: task.dependency, attemptsLeft: task.attempts)
                if let id { lines[id]?.waiting.append(task.id) } else { ready.append(.lone(task.id)) }
            }
            count(queued: line.tasks.count, &actions)
            if let id { makeReady(id) }
        }
        // Only now: a task may follow one in a later line of the same request.
        for task in new.lazy.flatMap(\.tasks) {
            if case .pending(let other) = task.dependency { follow(task.id, other) }
        }
    }

    mutating func follow(_ task: TaskID, _ other: TaskID) {
        if entries[other] == nil {
            // It ended without being known to have succeeded, or was never taken.
            entries[task]?.dependency = .missed
        } else {
            entries[other]?.followers.append(task)
        }
    }

    mutating func makeLine(width: Int) -> LineID {
        nextLine += 1
        lines[nextLine] = LineState(width: max(width, 1))
        return nextLine
    }

    mutating func makeReady(_ id: LineID) {
        guard var line = lines[id] else { return }
        if line.waiting.isEmpty {
            if line.running == 0 { lines[id] = nil }
            return
        }
        guard !line.isReady, line.running < line.width else { return }
        line.isReady = true
        lines[id] = line
        ready.append(.line(id))
    }

    /// Gives free slots to what is urgent and to ready lines, in turn.
    mutating func pump(_ actions: inout Actions) {
        while urgentRunning < concurrency, let task = urgent.popFirst() { take(task, &actions) }
        while freeSlots > 0, let next = ready.popFirst() {
            switch next {
            case .lone(let task): take(task, &actions)
            case .line(let id):
                guard let task = takeFirst(of: id) else { continue }
                take(task, &actions)
                makeReady(id)
            }
        }
    }

    mutating func takeFirst(of id: LineID) -> TaskID? {
        guard var line = lines[id] else { return nil }
        line.isReady = false
        let task = line.waiting.popFirst()
        lines[id] = line
        if task == nil { makeReady(id) }
        return task
    }

    mutating func take(_ task: TaskID, _ actions: inout Actions) {
        guard let index = entries.index(forKey: task), entries.values[index].stage == .waiting else { return }
        switch entries.values[index].dependency {
        case .pending:
            entries.values[index].stage = .parked
        case .missed:
            skip(task, &actions)
        case .none, .succeeded:
            entries.values[index].stage = .running
            entries.values[index].attemptsLeft -= 1
            if let line = entries.values[index].line { lines[line]?.running += 1 }
            if entries.values[index].isUrgent { urgentRunning += 1 }
            count(queued: -1, running: 1, &actions)
            actions.start.append(task)
        }
    }

    /// A task that left its line comes back in a line of its own.
    mutating func rejoin(_ task: TaskID, isLast: Bool) {
        guard let index = entries.index(forKey: task) else { return }
        entries.values[index].stage = .waiting
        entries.values[index].line = nil
        if isLast { entries.values[index].hadLastChance = true }
        if entries.values[index].isUrgent { urgent.append(task) } else { ready.append(.lone(task)) }
    }
}
