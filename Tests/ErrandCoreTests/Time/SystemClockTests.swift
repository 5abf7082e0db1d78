// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Testing

@Suite(.timeLimit(.minutes(3))) struct SystemClockTests {
    let clock = SystemClock.shared

    @Test("The wall clock is after 2025 and uptime never runs backwards")
    func reading() {
        #expect(clock.now > Timestamp(microseconds: 1_735_689_600_000_000))
        let first = clock.uptime
        #expect(clock.uptime >= first)
        #expect(first > .zero)
    }

    @Test("Actions fire in order of deadline, not before it, and off the calling thread")
    func firing() async {
        let clock = clock
        let start = clock.uptime
        let fired = AsyncStream<(Int, Duration)> { continuation in
            clock.schedule(after: .milliseconds(20)) {
                continuation.yield((2, clock.uptime))
                continuation.finish()
            }
            clock.schedule(after: .milliseconds(10)) { continuation.yield((1, clock.uptime)) }
            clock.schedule(after: .zero) { continuation.yield((0, clock.uptime)) }
        }
        var order: [Int] = []
        for await (number, time) in fired {
            order.append(number)
            #expect(time - start >= .milliseconds(10 * number))
        }
        #expect(order == [0, 1, 2])
    }

    @Test("A delay of zero does not run inside the call")
    func zeroDelay() async {
        let order = Recorder<String>()
        await withCheckedContinuation { continuation in
            clock.schedule(after: .seconds(-1)) {
                // Held up until the call has returned; a call inside would never get past this line.
                while order.values.isEmpty {}
                order.record("fired")
                continuation.resume()
            }
            order.record("returned")
        }
        #expect(order.values == ["returned", "fired"])
    }

    @Test("Cancelling drops the closure at once and the action does not run")
    func cancelling() async {
        final class Token: Sendable {}
        weak var token: Token?
        let timer: ClockTimer
        do {
            let strong = Token()
            token = strong
            timer = clock.schedule(after: .hours(1)) { withExtendedLifetime(strong) {} }
        }
        #expect(token != nil)
        timer.cancel()
        #expect(token == nil)
        timer.cancel()
    }

    @Test("sleep ends early by throwing when its task is cancelled")
    func cancelledSleep() async {
        let clock = clock
        let sleeper = Task { try await clock.sleep(for: .hours(1)) }
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
    }

    @Test("Many timers from many tasks all fire")
    func many() async {
        let clock = clock
        let woken = Recorder<Int>()
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<200 {
                group.addTask {
                    try? await clock.sleep(for: .microseconds(number * 50))
                    woken.record(number)
                }
            }
        }
        #expect(woken.values.count == 200)
    }
}
