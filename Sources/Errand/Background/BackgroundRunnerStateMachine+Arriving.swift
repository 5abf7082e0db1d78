// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule

extension BackgroundRunnerStateMachine {
    /// Takes lines of tasks.
    ///
    /// `reservation` gives back places taken with `reserve`.
    mutating func submit(_ new: [Line], from origin: Origin, reservation: Int = 0) -> (Submission, Actions) {
        var actions = Actions()
        release(reservation)
        guard phase == .accepting else { return (.refused, actions) }
        let count = new.reduce(0) { $0 + $1.tasks.count }
        let mayBeHeld = overflow == .wait && origin == .connection
        let isReserved = reservation > 0 && count <= reservation
        if isReserved || held.isEmpty && (mayBeHeld ? fitsHeld(count) : fits(count)) {
            add(new, &actions)
            pump(&actions)
            admit(&actions)
            return (.accepted, actions)
        }
        switch (overflow, origin) {
        case (.shed, _), (_, .outside):
            let (kept, shed) = split(new, keeping: held.isEmpty ? room : 0)
            add(kept, &actions)
            pump(&actions)
            return (.shed(shed), actions)
        case (.wait, .request), (.callerRuns, .request):
            add(new, &actions)
            pump(&actions)
            return (.acceptedOverLimit, actions)
        case (.wait, .connection):
            let submission = hold(new)
            // A reservation that was just given back may have been all that kept those before it waiting.
            if reservation > 0 { admit(&actions) }
            return (submission, actions)
        case (.callerRuns, .connection):
            return (count == 0 ? .accepted : .callerRuns, actions)
        }
    }

    /// Takes a task that must not wait for the others: for what is urgent there are as many slots again. No bound
    /// keeps it out, and the drain does not either.
    /// - Returns: `false` when only running tasks are left; then it was not taken.
    mutating func submitUrgent(_ task: Arrival) -> (Bool, Actions) {
        var actions = Actions()
        guard phase != .cancelling else { return (false, actions) }
        entries[task.id] = Entry(dependency: task.dependency, attemptsLeft: task.attempts, isUrgent: true)
        count(queued: 1, &actions)
        urgent.append(task.id)
        pump(&actions)
        return (true, actions)
    }

    /// Takes `count` places in the queue for tasks to come.
    /// - Returns: Whether there was room.
    mutating func reserve(_ count: Int) -> Bool {
        guard phase == .accepting, held.isEmpty, count <= room else { return false }
        reserved += max(count, 0)
        return true
    }

    /// Gives back places that no task will use; who was held for them may go on.
    mutating func releaseReservation(_ count: Int) -> Actions {
        var actions = Actions()
        release(count)
        admit(&actions)
        return actions
    }

    mutating func release(_ count: Int) { reserved = max(reserved - count, 0) }

    mutating func hold(_ new: [Line]) -> Submission {
        nextHold += 1
        held.append((nextHold, new))
        return .held(nextHold)
    }

    /// How many more tasks may come: free places, and slots that nothing waits for.
    var room: Int {
        max(queueLimit - queued - reserved, 0) + (ready.isEmpty ? max(freeSlots, 0) : 0)
    }

    var freeSlots: Int { concurrency - (running - urgentRunning) }

    /// Whether a batch may come in.
    ///
    /// Whoever brings none asks whether the bound is kept, because tasks of the same request went beyond it
    /// before.
    func fits(_ count: Int) -> Bool {
        count == 0 ? queued + reserved <= queueLimit : count <= room
    }

    /// Whether a batch that is held may come in: one larger than the whole queue must some day, so it does when
    /// the queue is empty.
    func fitsHeld(_ count: Int) -> Bool { fits(count) || (queued == 0 && reserved == 0) }

    func split(_ new: [Line], keeping places: Int) -> (kept: [Line], shed: [TaskID]) {
        var (kept, shed, left): ([Line], [TaskID], Int) = ([], [], places)
        for line in new {
            let taken = line.tasks.prefix(left)
            left -= taken.count
            if !taken.isEmpty { kept.append(Line(tasks: Array(taken), width: line.width)) }
            shed += line.tasks.dropFirst(taken.count).map(\.id)
        }
        return (kept, shed)
    }

    mutating func admit(_ actions: inout Actions) {
        while let next = held.first, fitsHeld(next.lines.reduce(0) { $0 + $1.tasks.count }) {
            held.removeFirst()
            actions.admitted.append(next.id)
            add(next.lines, &actions)
            pump(&actions)
        }
    }
}
