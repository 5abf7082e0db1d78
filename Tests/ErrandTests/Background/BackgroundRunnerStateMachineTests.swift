// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandTesting
import Testing

@testable import Errand

@Suite struct BackgroundRunnerStateMachineTests {
    typealias Machine = BackgroundRunnerStateMachine

    func line(_ ids: UInt64..., width: Int = 1, attempts: Int = 1) -> Machine.Line {
        Machine.Line(tasks: ids.map { Machine.Arrival(id: $0, attempts: attempts) }, width: width)
    }

    @Test("A line starts one task at a time, in order; lines run side by side")
    func order() {
        let machine = Bench(concurrency: 8, queueLimit: 100, overflow: .wait)
        #expect(machine.submit([line(1, 2, 3)], from: .connection).1.start == [1])
        #expect(machine.submit([line(4, 5)], from: .connection).1.start == [4])
        #expect(machine.ended(1, .succeeded).1.start == [2])
        #expect(machine.ended(2, .failed).1.start == [3])
        #expect(machine.ended(4, .final).1.start == [5])
        #expect(machine.ended(3, .succeeded).1.start == [])
        #expect(machine.ended(5, .succeeded).1.start == [])
        #expect(machine.isIdle)
    }

    @Test("A wide line starts as many as its width, still in order")
    func width() {
        let machine = Bench(concurrency: 8, queueLimit: 100, overflow: .wait)
        #expect(machine.submit([line(1, 2, 3, 4, width: 3)], from: .connection).1.start == [1, 2, 3])
        #expect(machine.ended(2, .succeeded).1.start == [4])
    }

    @Test("No more tasks run than there are slots, and lines take turns")
    func slots() {
        let machine = Bench(concurrency: 1, queueLimit: 100, overflow: .wait)
        #expect(machine.submit([line(1, 2)], from: .connection).1.start == [1])
        #expect(machine.submit([line(3, 4)], from: .connection).1.start == [])
        #expect(machine.queued == 3)
        var order: [UInt64] = [1]
        while let running = machine.runningTasks.first { order += machine.ended(running, .succeeded).1.start }
        #expect(order == [1, 3, 2, 4] || order == [1, 2, 3, 4])
        #expect(machine.isIdle)
    }

    @Test("A task that waits for its retry leaves the line, and comes back when it is due")
    func retry() {
        let machine = Bench(concurrency: 8, queueLimit: 100, overflow: .wait)
        _ = machine.submit([line(1, 2, attempts: 2)], from: .connection)
        let (verdict, actions) = machine.ended(1, .failed)
        #expect(verdict == .retryLater)
        #expect(actions.start == [2])
        #expect(machine.retryDue(1).start == [1])
        #expect(machine.ended(1, .failed).0 == .ended)
        #expect(machine.ended(2, .succeeded).0 == .ended)
        #expect(machine.isIdle)
    }

    @Test("A follower waits outside of its line for the one it follows, then starts", arguments: [true, false])
    func following(succeeds: Bool) {
        let machine = Bench(concurrency: 8, queueLimit: 100, overflow: .wait)
        let follower = Machine.Line(tasks: [.init(id: 2, dependency: .pending(1)), .init(id: 3)])
        let started = machine.submit([line(1), follower], from: .connection).1.start
        #expect(started == [1, 3])
        let (_, actions) = machine.ended(1, succeeds ? .succeeded : .failed)
        #expect(actions.start == (succeeds ? [2] : []))
        #expect(actions.skip == (succeeds ? [] : [2]))
    }

    @Test("Those that follow a skipped task are skipped as well, and one followed in a later line is found")
    func chains() {
        let machine = Bench(concurrency: 8, queueLimit: 100, overflow: .wait)
        let ordered = Machine.Line(tasks: [
            .init(id: 2, dependency: .pending(1)), .init(id: 3, dependency: .pending(2)),
        ])
        #expect(machine.submit([ordered, line(1)], from: .connection).1.start == [1])
        #expect(machine.ended(1, .final).1.skip == [2, 3])
        #expect(machine.isIdle)
    }

    @Test("With .wait a full queue holds the submitter, and lets the held in, in order, when there is room")
    func holding() {
        let machine = Bench(concurrency: 1, queueLimit: 1, overflow: .wait)
        #expect(machine.submit([line(1)], from: .connection).0 == .accepted)
        #expect(machine.submit([line(2)], from: .connection).0 == .accepted)
        #expect(machine.submit([line(3)], from: .connection).0 == .held(1))
        #expect(machine.submit([line(4)], from: .connection).0 == .held(2))
        let first = machine.ended(1, .succeeded).1
        #expect(first.start == [2])
        #expect(first.admitted == [1])
        let second = machine.ended(2, .succeeded).1
        #expect(second.start == [3])
        #expect(second.admitted == [2])
    }

    @Test("A batch larger than the whole queue gets in when the queue is empty")
    func oversized() {
        let machine = Bench(concurrency: 1, queueLimit: 2, overflow: .wait)
        #expect(machine.submit([line(1, 2, 3, 4, 5)], from: .connection).0 == .accepted)
        #expect(machine.submit([line(6)], from: .connection).0 == .held(1))
    }

    @Test("With .shed what does not fit is not taken; with .callerRuns the caller keeps all of it")
    func otherPolicies() {
        let shedding = Bench(concurrency: 1, queueLimit: 1, overflow: .shed)
        _ = shedding.submit([line(1)], from: .connection)
        #expect(shedding.submit([line(2, 3, 4)], from: .connection).0 == .shed([3, 4]))
        #expect(shedding.submit([line(5)], from: .request).0 == .shed([5]))
        let returning = Bench(concurrency: 1, queueLimit: 0, overflow: .callerRuns)
        _ = returning.submit([line(1)], from: .connection)
        #expect(returning.submit([line(4)], from: .connection).0 == .callerRuns)
    }

    @Test("Who cannot be held is taken beyond the bound if a connection will be, else shed")
    func overLimit() {
        let machine = Bench(concurrency: 1, queueLimit: 1, overflow: .wait)
        _ = machine.submit([line(1)], from: .connection)
        _ = machine.submit([line(2)], from: .connection)
        #expect(machine.submit([line(3)], from: .request).0 == .acceptedOverLimit)
        #expect(machine.submit([line(4)], from: .outside).0 == .shed([4]))
        #expect(machine.submit([], from: .connection).0 == .held(1))
    }

    @Test("Reserved places are kept for whoever reserved them")
    func reserving() {
        let machine = Bench(concurrency: 1, queueLimit: 2, overflow: .wait)
        _ = machine.submit([line(1)], from: .connection)
        #expect(machine.reserve(2))
        #expect(!machine.reserve(1))
        #expect(machine.submit([line(2)], from: .connection).0 == .held(1))
        let (submission, actions) = machine.submit([line(3, 4)], from: .request, reservation: 2)
        #expect(submission == .accepted)
        #expect(actions.admitted == [])
    }

    @Test("Places given back by one that must wait itself let those in who waited before")
    func reservingTooFew() {
        let machine = Bench(concurrency: 1, queueLimit: 5, overflow: .wait)
        #expect(machine.reserve(6))
        #expect(machine.submit([line(1, 2)], from: .connection).0 == .held(1))
        let (submission, actions) = machine.submit([line(3, 4, 5, 6, 7, 8, 9)], from: .connection, reservation: 6)
        #expect(submission == .held(2))
        #expect(actions.admitted == [1])
        #expect(actions.start == [1])
    }

    @Test("Urgent tasks come in beyond all bounds, have slots of their own, and are retried there")
    func urgent() {
        let machine = Bench(concurrency: 1, queueLimit: 1, overflow: .shed)
        _ = machine.submit([line(1, 2)], from: .connection)
        #expect(machine.submitUrgent(9, attempts: 2)?.start == [9])
        #expect(machine.submitUrgent(10)?.start == [])
        #expect(machine.submitUrgent(11)?.start == [])
        #expect(machine.remove(11) != nil)
        #expect(machine.ended(1, .succeeded).1.start == [2])
        let (verdict, actions) = machine.ended(9, .failed)
        #expect(verdict == .retryLater)
        #expect(actions.start == [10])
        #expect(machine.retryDue(9).start == [])
        #expect(machine.ended(10, .succeeded).1.start == [9])
        #expect(machine.submit([line(3)], from: .connection).0 == .accepted)
        #expect(machine.ended(2, .succeeded).1.start == [3])
        #expect(machine.ended(9, .succeeded).0 == .ended)
        #expect(machine.ended(3, .succeeded).0 == .ended)
        #expect(machine.isIdle)
        #expect(machine.running == 0 && machine.queued == 0)
    }

    @Test("The drain takes what is urgent until nothing is left, the last step does not")
    func urgentAtShutdown() {
        let draining = Bench(concurrency: 1, queueLimit: 1, overflow: .wait)
        _ = draining.submit([line(1)], from: .connection)
        _ = draining.beginDrain()
        #expect(draining.submitUrgent(8, attempts: 3)?.start == [8])
        let (verdict, actions) = draining.ended(8, .failed)
        #expect(verdict == .lastChance)
        #expect(actions.start == [8])
        #expect(draining.ended(1, .succeeded).0 == .ended)
        #expect(!draining.endIfIdle())
        #expect(draining.ended(8, .failed).0 == .ended)
        #expect(draining.endIfIdle())
        #expect(draining.submitUrgent(9)?.start == nil)
        let cancelling = Bench(concurrency: 1, queueLimit: 1, overflow: .wait)
        _ = cancelling.submitUrgent(7)
        #expect(cancelling.beginCancel().running == [7])
        #expect(cancelling.submitUrgent(8)?.start == nil)
    }

    @Test("A task that is removed never starts, wherever it waits, and its followers are skipped")
    func removing() {
        let machine = Bench(concurrency: 1, queueLimit: 2, overflow: .wait)
        _ = machine.submit([line(1, 2)], from: .connection)
        _ = machine.submit([Machine.Line(tasks: [.init(id: 3, dependency: .pending(2))])], from: .connection)
        _ = machine.submit([line(9)], from: .connection)
        #expect(machine.remove(9) == nil)
        #expect(machine.remove(1) == nil)
        #expect(machine.remove(2) != nil)
        #expect(machine.ended(1, .succeeded).1.skip == [3])
        #expect(machine.isIdle)
    }

    @Test("An abandoned task frees its slot, and its late end changes nothing")
    func abandoning() {
        let machine = Bench(concurrency: 1, queueLimit: 9, overflow: .wait)
        _ = machine.submit([line(1, 2)], from: .connection)
        #expect(machine.abandon(1)?.start == [2])
        #expect(machine.ended(1, .succeeded).0 == .unknown)
        #expect(machine.running == 1)
    }

    @Test("A drain refuses what is new, goes on with the rest, and retries at once and once only")
    func draining() {
        let machine = Bench(concurrency: 1, queueLimit: 9, overflow: .wait)
        _ = machine.submit([line(1, 2, attempts: 9)], from: .connection)
        #expect(machine.ended(1, .failed).0 == .retryLater)
        let drain = machine.beginDrain()
        #expect(drain.start == [])
        #expect(machine.submit([line(3)], from: .connection).0 == .refused)
        let (verdict, actions) = machine.ended(2, .failed)
        #expect(verdict == .lastChance)
        #expect(actions.start == [1])
        #expect(machine.ended(1, .failed).0 == .ended)
        #expect(machine.ended(2, .failed).0 == .ended)
        #expect(machine.isIdle)
    }

    @Test("Cancelling drops what waits and names what runs")
    func cancelling() {
        let machine = Bench(concurrency: 1, queueLimit: 2, overflow: .wait)
        _ = machine.submit([line(1, 2, 3)], from: .connection)
        _ = machine.submit([line(4)], from: .connection)
        let (dropped, running, actions) = machine.beginCancel()
        #expect(dropped == [2, 3, 4])
        #expect(running == [1])
        #expect(actions.admitted == [1])
        #expect(machine.queued == 0)
        #expect(machine.ended(1, .failed).0 == .ended)
        #expect(machine.isIdle)
    }

    @Test("Random operations leave nothing behind and never exceed the slots", arguments: 0..<50 as Range<UInt64>)
    func random(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let machine = Bench(concurrency: 3, queueLimit: 10, overflow: .wait)
        var next: UInt64 = 0
        var delayed: [UInt64] = []
        var urgent: Set<UInt64> = []
        var (queued, running) = (0, 0)
        func apply(_ actions: Machine.Actions) {
            queued += actions.queued
            running += actions.running
        }
        for _ in 0..<400 {
            switch Int.random(in: 0..<7, using: &generator) {
            case 6:
                next += 1
                urgent.insert(next)
                if let actions = machine.submitUrgent(next, attempts: 2) { apply(actions) }
            case 0, 1:
                let tasks = (0..<Int.random(in: 1...4, using: &generator))
                    .map { _ in
                        next += 1
                        let follows = next > 3 && Bool.random(using: &generator)
                        return Machine.Arrival(id: next, dependency: follows ? .pending(next - 2) : .none, attempts: 2)
                    }
                apply(machine.submit([Machine.Line(tasks: tasks, width: 2)], from: .connection).1)
            case 2, 3:
                guard let task = machine.runningTasks.randomElement(using: &generator) else { continue }
                let (verdict, actions) = machine.ended(task, Bool.random(using: &generator) ? .succeeded : .failed)
                if verdict == .retryLater { delayed.append(task) }
                apply(actions)
            case 4:
                if let task = delayed.popLast() { apply(machine.retryDue(task)) }
            default:
                if let task = machine.unfinished.randomElement(using: &generator) {
                    if let actions = machine.remove(task) { apply(actions) }
                }
            }
            #expect(machine.runningTasks.count { urgent.contains($0) } <= 3)
            #expect(machine.runningTasks.count { !urgent.contains($0) } <= 3)
            #expect(machine.running == running && machine.queued == queued)
            #expect(machine.runningTasks.count == running)
        }
        apply(machine.beginDrain())
        while let task = machine.runningTasks.first { apply(machine.ended(task, .failed).1) }
        #expect(machine.isIdle, "unfinished \(machine.unfinished)")
        #expect(queued == 0 && running == 0)
    }
}

/// The machine behind a reference, so that `#expect` can call what changes it.
@dynamicMemberLookup
private final class Bench {
    typealias Machine = BackgroundRunnerStateMachine

    private var machine: Machine

    init(concurrency: Int, queueLimit: Int, overflow: BackgroundOverflow) {
        machine = Machine(concurrency: concurrency, queueLimit: queueLimit, overflow: overflow)
    }

    subscript<Value>(dynamicMember path: KeyPath<Machine, Value>) -> Value { machine[keyPath: path] }

    func isRunning(_ task: UInt64) -> Bool { machine.isRunning(task) }

    func submit(
        _ lines: [Machine.Line],
        from origin: Machine.Origin,
        reservation: Int = 0
    ) -> (Machine.Submission, Machine.Actions) {
        machine.submit(lines, from: origin, reservation: reservation)
    }

    func ended(_ task: UInt64, _ result: Machine.Result) -> (Machine.Verdict, Machine.Actions) {
        machine.ended(task, result)
    }

    func retryDue(_ task: UInt64) -> Machine.Actions { machine.retryDue(task) }

    func abandon(_ task: UInt64) -> Machine.Actions? { machine.abandon(task) }

    func remove(_ task: UInt64) -> Machine.Actions? { machine.remove(task) }

    /// `nil` when it was not taken.
    func submitUrgent(_ task: UInt64, attempts: Int = 1) -> Machine.Actions? {
        let (isTaken, actions) = machine.submitUrgent(Machine.Arrival(id: task, attempts: attempts))
        return isTaken ? actions : nil
    }

    func endIfIdle() -> Bool { machine.endIfIdle() }

    func reserve(_ count: Int) -> Bool { machine.reserve(count) }

    func beginDrain() -> Machine.Actions { machine.beginDrain() }

    func beginCancel() -> (dropped: [UInt64], running: [UInt64], actions: Machine.Actions) { machine.beginCancel() }
}
