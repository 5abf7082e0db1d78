// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import ErrandCore
import Synchronization

/// The metrics of one runner.
///
/// Handles are made once; those with a task's name are made at its first end.
///
/// `background_tasks_total{name,outcome}`, `background_tasks_duration{name,outcome}`, `background_tasks_wait`,
/// `background_tasks_queued`, `background_tasks_running`, `background_tasks_dropped_total{reason}`,
/// `background_stuck`, `blocking_pool_wait`, `shared_pool_wait`.
final class BackgroundMetrics: Sendable {
    private struct Key: Hashable {
        let name: String
        let outcome: String
    }

    private struct Handles: Sendable {
        let total: Counter
        let duration: CoreMetrics.Timer
    }

    /// More different names than this share the name `other`: a name made from data must not grow the
    /// metrics system without end.
    static let nameLimit = 500

    private let factory: any MetricsFactory
    /// Whether anybody collects. If not, nothing is looked up.
    private let isHeard: Bool
    private let wait: CoreMetrics.Timer
    private let queued: Meter
    private let running: Meter
    private let stuck: Counter
    private let blockingWait: CoreMetrics.Timer
    private let sharedWait: CoreMetrics.Timer
    private let handles = Mutex<[Key: Handles]>([:])
    private let drops = Mutex<[String: Counter]>([:])

    init(factory: any MetricsFactory) {
        self.factory = factory
        isHeard = !(factory is NOOPMetricsHandler)
        wait = CoreMetrics.Timer(label: "background_tasks_wait", dimensions: [], factory: factory)
        queued = Meter(label: "background_tasks_queued", dimensions: [], factory: factory)
        running = Meter(label: "background_tasks_running", dimensions: [], factory: factory)
        stuck = Counter(label: "background_stuck", dimensions: [], factory: factory)
        blockingWait = CoreMetrics.Timer(label: "blocking_pool_wait", dimensions: [], factory: factory)
        sharedWait = CoreMetrics.Timer(label: "shared_pool_wait", dimensions: [], factory: factory)
    }

    func started(afterWait wait: Duration) {
        if isHeard { self.wait.recordNanoseconds(wait.nanoseconds) }
    }

    func ended(name: String, outcome: BackgroundTaskOutcome, duration: Duration?) {
        guard isHeard else { return }
        let handles = handles(for: name, outcome.label)
        handles.total.increment()
        if let duration { handles.duration.recordNanoseconds(duration.nanoseconds) }
    }

    func dropped(_ reason: BackgroundDropReason) {
        let counter = drops.withLock { drops in
            if let counter = drops[reason.rawValue] { return counter }
            let dimensions = [("reason", reason.rawValue)]
            let made = Counter(label: "background_tasks_dropped_total", dimensions: dimensions, factory: factory)
            drops[reason.rawValue] = made
            return made
        }
        counter.increment()
    }

    func becameStuck() { stuck.increment() }

    func waitedForBlockingThread(_ wait: Duration) { blockingWait.recordNanoseconds(wait.nanoseconds) }

    func waitedForSharedPool(_ wait: Duration) { sharedWait.recordNanoseconds(wait.nanoseconds) }

    /// Steps, not levels: two threads that report at once cannot leave a wrong level behind.
    func changed(queued: Int, running: Int) {
        guard isHeard else { return }
        step(self.queued, by: queued)
        step(self.running, by: running)
    }

    /// Meters ignore negative increments.
    private func step(_ meter: Meter, by count: Int) {
        if count > 0 { meter.increment(by: Double(count)) }
        if count < 0 { meter.decrement(by: Double(-count)) }
    }

    private func handles(for name: String, _ outcome: String) -> Handles {
        handles.withLock { handles in
            if let known = handles[Key(name: name, outcome: outcome)] { return known }
            let name = handles.count < Self.nameLimit ? name : "other"
            if let known = handles[Key(name: name, outcome: outcome)] { return known }
            let dimensions = [("name", name), ("outcome", outcome)]
            let made = Handles(
                total: Counter(label: "background_tasks_total", dimensions: dimensions, factory: factory),
                duration: CoreMetrics.Timer(
                    label: "background_tasks_duration",
                    dimensions: dimensions,
                    factory: factory
                )
            )
            handles[Key(name: name, outcome: outcome)] = made
            return made
        }
    }
}

extension Duration {
    /// Whole nanoseconds, clamped to `Int64`.
    fileprivate var nanoseconds: Int64 {
        let microseconds = wholeMicroseconds
        let (product, overflow) = microseconds.multipliedReportingOverflow(by: 1000)
        if overflow { return microseconds < 0 ? .min : .max }
        return product + components.attoseconds / 1_000_000_000 % 1000
    }
}
