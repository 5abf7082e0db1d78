// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// Ticks that are due, decided by the scheduler of a worker that also runs their jobs.
enum DueTicks {
    /// Seconds from the instant at which all were due.
    struct Burst: Sendable {
        var enqueued: Double
        var run: Double
    }

    /// Ticks a second, and milliseconds from a tick to its job in the store that one in a hundred exceeds.
    struct Stream: Sendable {
        var rate: Double
        var lateness: Double
    }

    /// Schedules that are due at the same instant.
    static func burst(of count: Int, on store: any JobStore) async throws -> Burst {
        let clock = SystemClock.shared
        let second = try await store.schedules(.page(limit: 1)).at.microseconds / 1_000_000 + 10
        let due = Timestamp(microseconds: second * 1_000_000)
        try await ManySchedules(count: count, trigger: .cron("\(second % 60) * * * * *")).put(in: store)
        let left = due - (try await store.schedules(.page(limit: 1)).at)
        let start = clock.uptime + left
        guard left > .seconds(1) else { throw VoidFigure("\(count) schedules took too long to make") }
        let (tally, hub) = (Tally(goal: count), EventHub())
        let events = hub.events(buffer: 20 * count)
        return try await Worker.measured(store, tally.handlers, events: hub)
            .runs {
                var enqueued = 0
                for await row in events.ticks where row.decision == .enqueued {
                    enqueued += 1
                    if enqueued == count { break }
                }
                let end = clock.uptime
                return Burst(enqueued: (end - start).inSeconds, run: (await tally.wait() - start).inSeconds)
            }
    }

    /// Schedules that fire every second, for some time after a warm-up.
    static func stream(of count: Int, for time: Duration, on store: any JobStore) async throws -> Stream {
        let clock = SystemClock.shared
        try await ManySchedules(count: count, trigger: .cron("* * * * * *")).put(in: store)
        let (tally, hub) = (Tally(goal: .max), EventHub())
        return try await Worker.measured(store, tally.handlers, events: hub)
            .runs {
                try await clock.sleep(for: .seconds(3))
                let events = hub.events(buffer: 1_000_000)
                let listening = Task {
                    var waits: [Double] = []
                    for await row in events.ticks where row.decision == .enqueued {
                        waits.append((clock.now - row.nominal).inSeconds * 1000)
                    }
                    return waits
                }
                try await clock.sleep(for: time)
                listening.cancel()
                let waits = await listening.value
                return Stream(rate: Double(waits.count) / time.inSeconds, lateness: waits.percentile(99))
            }
    }
}

extension AsyncStream<ErrandEvent> {
    /// The decisions on ticks among them.
    fileprivate var ticks: AsyncCompactMapSequence<Self, TickRecord> {
        compactMap { event in
            if case .ticked(let row) = event { return row }
            return nil
        }
    }
}
