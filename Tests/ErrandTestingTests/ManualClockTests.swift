// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandTesting
import Testing

@Suite(.timeLimit(.minutes(3))) struct ManualClockTests {
    let clock = ManualClock(startingAt: .epoch)

    @Test("It stands still until it is moved")
    func standing() {
        #expect(clock.now == .epoch)
        #expect(clock.uptime == .zero)
        clock.advance(by: .seconds(3))
        #expect(clock.now == .epoch + .seconds(3))
        #expect(clock.uptime == .seconds(3))
    }

    @Test("Due actions run in order with the time at each deadline, later ones wait")
    func firing() {
        let clock = clock
        let seen = Recorder<Timestamp>()
        for seconds in [3, 1, 2, 9] {
            clock.schedule(after: .seconds(seconds)) { seen.record(clock.now) }
        }
        clock.advance(by: .seconds(5))
        #expect(seen.values == [1, 2, 3].map { .epoch + .seconds($0) })
        #expect(clock.timerCount == 1)
        #expect(clock.now == .epoch + .seconds(5))
    }

    @Test("An action scheduled by an action runs in the same move when it is due in it")
    func nested() {
        let clock = clock
        let seen = Recorder<Duration>()
        clock.schedule(after: .seconds(1)) {
            clock.schedule(after: .seconds(1)) { seen.record(clock.uptime) }
            clock.schedule(after: .seconds(7)) { seen.record(clock.uptime) }
        }
        clock.advance(by: .seconds(4))
        #expect(seen.values == [.seconds(2)])
    }

    @Test("Nothing runs inside schedule, and a move by zero runs what is due now")
    func zero() {
        let ran = Recorder<Bool>()
        clock.schedule(after: .zero) { ran.record(true) }
        #expect(ran.values.isEmpty)
        clock.advance(by: .zero)
        #expect(ran.values == [true])
    }

    @Test("A cancelled timer does not run and is not counted")
    func cancelled() {
        let timer = clock.schedule(after: .seconds(1)) { Issue.record("ran") }
        timer.cancel()
        #expect(clock.timerCount == 0)
        clock.advance(by: .seconds(2))
    }

    @Test("nextTimer waits until somebody sleeps and tells for how long")
    func nextTimer() async throws {
        let clock = clock
        async let sleeper: Void = clock.sleep(for: .seconds(7))
        #expect(await clock.nextTimer() == .seconds(7))
        clock.advance(by: .seconds(7))
        try await sleeper
    }

    @Test("waitForTimers waits for that many, waitForTimer for that one")
    func waiting() async throws {
        let clock = clock
        async let one: Void = clock.sleep(for: .seconds(1))
        async let two: Void = clock.sleep(for: .seconds(2))
        await clock.waitForTimers(atLeast: 2)
        await clock.waitForTimer(in: .seconds(2))
        #expect(clock.timerCount == 2)
        clock.advance(by: .seconds(2))
        _ = try await (one, two)
    }

    @Test("The wall clock can step back while uptime goes on")
    func stepping() {
        clock.advance(by: .seconds(10))
        clock.stepWallClock(by: .seconds(-8))
        #expect(clock.now == .epoch + .seconds(2))
        #expect(clock.uptime == .seconds(10))
    }
}
