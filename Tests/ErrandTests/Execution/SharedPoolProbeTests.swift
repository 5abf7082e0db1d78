// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import ErrandTesting
import Testing

@Suite(.timeLimit(.minutes(3))) struct SharedPoolProbeTests {
    @Test("It reports the wait of each probe, and leaves no timer behind when stopped")
    func reporting() async {
        let clock = ManualClock()
        let (waits, continuation) = AsyncStream.makeStream(of: Duration.self)
        let probe = SharedPoolProbe(clock: clock) { continuation.yield($0) }
        probe.start()
        probe.start()
        #expect(clock.timerCount == 1)
        var iterator = waits.makeAsyncIterator()
        for _ in 0..<3 {
            clock.advance(by: .milliseconds(100))
            // The clock stands still while the probe's task gets its turn.
            #expect(await iterator.next() == .zero)
        }
        probe.stop()
        #expect(clock.timerCount == 0)
    }
}
