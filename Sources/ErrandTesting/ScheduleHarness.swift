// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import Errand
import Logging
import Synchronization

/// Time travel for schedules: a store, a clock and a scheduler that runs only when a test moves the clock.
///
/// ```swift
/// let harness = ScheduleHarness(schedules)
/// try await harness.start()
/// let decisions = await harness.advance(by: .hours(24))
/// #expect(decisions.map(\.decision) == [.enqueued])
/// ```
///
/// Jobs are enqueued and nobody runs them; with the default ``/ErrandCore/SchedulePolicy/Overlap/skip`` a second tick is
/// skipped until ``finishJobs()`` was called.
public final class ScheduleHarness: Sendable {
    /// The clock of the store and the scheduler.
    public let clock: ManualClock
    /// Where schedules and jobs are.
    public let store: any JobStore
    /// The scheduler. Do not run it; use it to make and change schedules.
    public let scheduler: Scheduler
    private let told = Told()
    private let registration: HubRegistration

    private final class Told: Sendable {
        let rows = Mutex<[TickRecord]>([])
    }

    /// A harness.
    /// - Parameters:
    ///   - set: The schedules of code; `nil` for none.
    ///   - clock: The clock; one that begins with 2026 unless given.
    ///   - store: A store whose time is that of the clock; a memory store when `nil`.
    ///   - seed: Makes the scheduler's choices repeatable.
    public init(
        _ set: ScheduleSet? = nil,
        clock: ManualClock = ManualClock(),
        store: (any JobStore)? = nil,
        seed: UInt64 = 1
    ) {
        self.clock = clock
        let store = store ?? MemoryStore(clock: clock)
        self.store = store
        let events = EventHub()
        scheduler = Scheduler(
            set,
            store: store,
            events: events,
            logger: Logger(label: "harness") { _ in SwiftLogNoOpLogHandler() },
            clock: clock,
            chance: Chance(SeededGenerator(seed: seed))
        )
        registration = events.observe { [told] event in
            if case .ticked(let row) = event { told.rows.withLock { $0.append(row) } }
        }
    }

    deinit { registration.cancel() }

    /// Makes the set the store's, as a scheduler does first when it runs.
    /// - Throws: ``/Errand/ErrandError`` for names that are taken.
    public func start() async throws {
        _ = try await scheduler.declare()
    }

    /// Moves the clock, and lets the scheduler decide whatever becomes due on the way.
    /// - Returns: The decisions, in the order in which they were made.
    @discardableResult
    public func advance(by duration: Duration) async -> [TickRecord] {
        let end = clock.uptime + duration
        while true {
            let wait = await scheduler.round()
            let left = end - clock.uptime
            guard left > .zero else {
                if wait > .zero { break }
                continue
            }
            clock.advance(by: min(max(wait, .microseconds(1)), left))
        }
        return told.rows.withLock { rows in
            defer { rows = [] }
            return rows
        }
    }

    /// Ends every job that is there, so that no tick waits for one.
    /// - Throws: What the store throws.
    public func finishJobs() async throws {
        let all = Operation(.cancel, on: .filter(JobFilter(), after: nil), actor: "harness", reason: "done")
        while try await store.operate(all).next != nil {}
    }
}
