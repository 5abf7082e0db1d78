// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import ErrandCore
import Synchronization

/// Notices code that holds a thread of a pool without suspending.
///
/// Looks every 50 ms, from the clock's own thread, and only while the pool has work. Nothing is measured per
/// piece of work.
package final class BlockingWatch: Sendable {
    private let clock: any ErrandClock
    private let interval: Duration
    private let report: @Sendable (_ lane: String, _ held: Duration) -> Void
    private let machine: Mutex<BlockingWatchStateMachine>

    /// - Parameters:
    ///   - threshold: A stretch at least this long is reported.
    ///   - interval: How often to look; a stretch is noticed up to this much later.
    ///   - clock: Whose thread looks.
    ///   - report: Called on that thread, once per stretch, with the lane's name and for how long it has held
    ///     its thread at least. Must not block.
    package init(
        threshold: Duration = .milliseconds(100),
        interval: Duration = .milliseconds(50),
        clock: any ErrandClock,
        report: @escaping @Sendable (_ lane: String, _ held: Duration) -> Void
    ) {
        self.clock = clock
        self.interval = interval
        self.report = report
        machine = Mutex(BlockingWatchStateMachine(threshold: threshold))
    }

    /// Looks until `sample` answers `nil`.
    ///
    /// The pool calls it when it goes from having no work to having some.
    func start(sample: @escaping @Sendable () -> [BlockingWatchStateMachine.Sample]?) {
        clock.schedule(after: interval) { [weak self] in self?.look(sample) }
    }

    private func look(_ sample: @escaping @Sendable () -> [BlockingWatchStateMachine.Sample]?) {
        let samples = sample()
        let reports = machine.withLock { $0.observe(samples ?? [], at: clock.uptime) }
        for stretch in reports { report(stretch.lane, stretch.held) }
        if samples != nil { start(sample: sample) }
    }
}
