// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

extension ManualClock {
    /// Moves from timer to timer for this long, each time when all that this worker does has come to its next wait;
    /// `others` is how many timers of somebody else there are all the time.
    func pass(_ duration: Duration, with worker: Worker, others: Int = 0) async {
        let end = uptime + duration
        while uptime < end {
            await rest(of: worker, others)
            advance(by: min(await nextTimer(), end - uptime))
        }
        await rest(of: worker, others)
    }

    /// The same until something holds, at most a thousand timers.
    func pass(with worker: Worker, others: Int = 0, until holds: () async throws -> Bool) async throws {
        for _ in 0..<1000 {
            if try await holds() { return }
            await rest(of: worker, others)
            advance(by: await nextTimer())
        }
        Issue.record("a thousand timers were not enough")
    }

    /// Beats, maintenance and the fence always have a timer in the end, claims only while leases are trusted.
    private func rest(of worker: Worker, _ others: Int) async {
        let mine = (worker.health.isReady ? 4 : 3) + (worker.scheduler == nil ? 0 : 1)
        await waitForTimers(atLeast: mine + others)
    }
}

extension WorkerConfiguration {
    /// The defaults without schedules, whose timer a test that counts timers could take for another.
    static var jobsOnly: WorkerConfiguration {
        var configuration = WorkerConfiguration()
        configuration.scheduler = nil
        return configuration
    }
}
