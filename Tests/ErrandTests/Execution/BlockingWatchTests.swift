// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import ErrandTesting
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(3))) struct BlockingWatchTests {
    typealias Sample = BlockingWatchStateMachine.Sample

    @Test("A stretch is reported once when it has lasted for the threshold, and not before")
    func once() {
        var machine = BlockingWatchStateMachine(threshold: .milliseconds(100))
        let held = [Sample(thread: 0, stretch: 7, lane: "resize")]
        #expect(machine.observe(held, at: .milliseconds(50)).isEmpty)
        #expect(machine.observe(held, at: .milliseconds(100)).isEmpty)
        let reports = machine.observe(held, at: .milliseconds(150))
        #expect(reports.map(\.lane) == ["resize"])
        #expect(reports.map(\.held) == [.milliseconds(100)])
        #expect(machine.observe(held, at: .milliseconds(900)).isEmpty)
    }

    @Test("Many short pieces of work of one lane are not one long one")
    func short() {
        var machine = BlockingWatchStateMachine(threshold: .milliseconds(100))
        for look in 0..<100 {
            let sample = Sample(thread: 0, stretch: UInt64(look), lane: "busy")
            #expect(machine.observe([sample], at: .milliseconds(50 * look)).isEmpty)
        }
    }

    @Test("Threads are told apart, and a second long stretch is reported again")
    func threads() {
        var machine = BlockingWatchStateMachine(threshold: .milliseconds(100))
        let both = [Sample(thread: 0, stretch: 1, lane: "a"), Sample(thread: 1, stretch: 1, lane: "b")]
        _ = machine.observe(both, at: .zero)
        #expect(machine.observe(both, at: .milliseconds(100)).map(\.lane) == ["a", "b"])
        let again = [Sample(thread: 1, stretch: 2, lane: "c")]
        _ = machine.observe(again, at: .milliseconds(150))
        #expect(machine.observe(again, at: .milliseconds(250)).map(\.lane) == ["c"])
    }

    @Test("A lane that blocks a real thread is named, and an idle pool leaves no timer behind")
    func named() async {
        let clock = ManualClock()
        let (reports, continuation) = AsyncStream.makeStream(of: (String, Duration).self)
        let watch = BlockingWatch(clock: clock) { lane, held in continuation.yield((lane, held)) }
        let pool = ThreadPool(threads: 1, name: "watch", clock: clock, watch: watch)
        let gate = ThreadGate()
        let entered = AsyncStream.makeStream(of: Void.self)
        let task = Task(executorPreference: WorkLane(name: "resize", pool: pool)) {
            entered.continuation.yield()
            gate.wait()
        }
        _ = await entered.stream.first { _ in true }
        for _ in 0..<3 { clock.advance(by: .milliseconds(50)) }
        let report = await reports.first { _ in true }
        #expect(report?.0 == "resize")
        #expect(report?.1 == .milliseconds(100))
        gate.open()
        await task.value
        // The thread lets go of the lane after the task has told us; then one look finds nothing and ends.
        while clock.timerCount > 0 {
            clock.advance(by: .milliseconds(50))
            await Task.yield()
        }
    }
}
