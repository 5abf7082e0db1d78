// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
public import Logging
public import ServiceLifecycle
import Synchronization

/// Enqueues the jobs of schedules when their time comes: one job for each tick, with any number of schedulers.
///
/// Every ``Worker`` runs one, so an application seldom makes its own: for a process that only schedules, or, without
/// running it, to make and change schedules. There is no leader. Each scheduler asks the store what is due, decides it,
/// and writes the decisions with their jobs; of several that decide the same tick the store takes the first.
///
/// A store that is away is waited for; what was due meanwhile is decided when it is back, by each schedule's
/// ``/ErrandCore/SchedulePolicy``.
public final class Scheduler: Service, Sendable {
    let store: any JobStore
    let set: ScheduleSet?
    let configuration: SchedulerConfiguration
    let clock: any ErrandClock
    let chance: Chance
    let events: EventHub
    let logger: Logger
    /// Whose name the decisions bear.
    let decider: String
    let rules: RuleBook
    let metrics: ScheduleMetrics
    let state: Mutex<State>
    let wakeUp = WakeUp()

    struct State {
        var watch: ClockWatch
        /// Schedules to look at although they are not due.
        var looks: Set<ScheduleID> = []
        /// Jobs that a schedule waits for.
        var awaited: [JobID: (schedule: ScheduleID, registration: HubRegistration)] = [:]
        /// Schedules that only another process can decide, as far as it was said.
        var foreign: Set<ScheduleID> = []
        var isStoreLost = false
        var isSkewed = false
        /// How long to wait at random because others are as quick.
        var spread: Duration = .zero
        /// Whether a schedule fires so often that changes of it must be seen soon.
        var isBusy = false
    }

    /// The most jobs whose end is listened for; those of further schedules are looked at by and by.
    static let awaitedLimit = 1000

    /// A scheduler. Nothing happens before ``run()``.
    /// - Parameters:
    ///   - set: The program's schedules, which become the store's when the scheduler runs. `nil` leaves those that
    ///     are there as they are.
    ///   - store: Where schedules and jobs are; the scheduler does not close it.
    ///   - configuration: How it waits.
    ///   - zones: Where time zones are found.
    ///   - events: Hears of every decision; give it the worker's to hear of everything.
    ///   - logger: Told of schedules that are broken or kept from running, of the clock, and when the store is away.
    ///   - clock: Measures waits, and tells when the store's clock jumps.
    ///   - chance: Makes the name that the decisions bear, and spreads schedulers that are equally quick.
    public init(
        _ set: ScheduleSet? = nil,
        store: any JobStore,
        configuration: SchedulerConfiguration = SchedulerConfiguration(),
        zones: ZoneCatalog = .foundation,
        events: EventHub = EventHub(),
        logger: Logger = Logger(label: "errand.scheduler"),
        clock: any ErrandClock = SystemClock.shared,
        chance: Chance = .system
    ) {
        self.store = store
        self.set = set
        self.configuration = configuration
        self.events = events
        self.logger = logger
        self.clock = clock
        self.chance = chance
        decider = "\(SystemFacts.host)/\(SystemFacts.pid)/\(chance.draw { UInt32.random(in: 0 ... .max, using: &$0) })"
        rules = RuleBook(zones: zones)
        metrics = ScheduleMetrics()
        state = Mutex(
            State(watch: ClockWatch(tolerance: configuration.clockTolerance, distrust: configuration.clockDistrust))
        )
    }

    /// Declares the set and then decides ticks until graceful shutdown or cancellation. Ticks that are under way then
    /// are decided as a whole or not at all.
    ///
    /// Returns at once when the store keeps no schedules and there is no set.
    /// - Throws: ``ErrandError`` with code `invalidConfiguration` when a setting makes no sense, a schedule of the set
    ///   has the name of one made at run time, or the store keeps no schedules; nothing else.
    public func run() async throws {
        try await cancelWhenGracefulShutdown { try await self.work() }
    }

    /// The same until cancellation alone, on the executor of the caller.
    func work() async throws {
        if let problem = configuration.problem { throw ErrandError(.invalidConfiguration, problem) }
        guard await store.describe().keepsSchedules else {
            if set == nil { return }
            throw ErrandError(.invalidConfiguration, "this store keeps no schedules; use another engine")
        }
        let registration = store.hub.subscribe { [weak self] in self?.hear($0) }
        defer {
            registration.cancel()
            for awaited in state.withLock({ $0.awaited.values }) { awaited.registration.cancel() }
        }
        guard try await declare() else { return }
        while !Task.isCancelled {
            let wait = await round()
            await wakeUp.wait(upTo: wait, on: clock)
        }
    }

    private func hear(_ signal: StoreSignal) {
        switch signal {
        case .controls: wakeUp.signal()
        case .finished(let jobs):
            let isAwaited = state.withLock { state in
                let ended = jobs.compactMap { state.awaited[$0]?.schedule }
                state.looks.formUnion(ended)
                return !ended.isEmpty
            }
            if isAwaited { wakeUp.signal() }
        case .work, .cancelled, .elsewhere: break
        }
    }
}
