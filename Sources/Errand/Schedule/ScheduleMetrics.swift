// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Metrics
import Synchronization

/// Every metric of schedules. None has a schedule's name, so that data cannot grow the metrics system.
final class ScheduleMetrics: Sendable {
    private let ticks: [TickDecision: Counter]
    private let lag: Gauge
    private let broken: Gauge
    private let skew: Gauge

    init(factory: any MetricsFactory = MetricsSystem.factory) {
        ticks = Dictionary(
            uniqueKeysWithValues: TickDecision.allCases.map {
                ($0, Counter(label: "errand_schedule_ticks", dimensions: [("decision", $0.rawValue)], factory: factory))
            }
        )
        lag = Gauge(label: "errand_schedule_lag_seconds", dimensions: [], factory: factory)
        broken = Gauge(label: "errand_schedules_broken", dimensions: [], factory: factory)
        skew = Gauge(label: "errand_scheduler_clock_skew_seconds", dimensions: [], factory: factory)
    }

    func decided(_ row: TickRecord) { ticks[row.decision]?.increment(by: Int64(row.count)) }

    /// What a round found: the age of the oldest schedule that was due, and how many are broken among those.
    func round(lag: Duration, broken: Int) {
        self.lag.record(max(lag, .zero).inSeconds)
        self.broken.record(Int64(broken))
    }

    /// How far the host's clock is ahead of the store's.
    func skew(_ skew: Duration) { self.skew.record(skew.inSeconds) }
}
