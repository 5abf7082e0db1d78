// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import Errand
import Logging
import Synchronization

/// A store, a client and a worker's worth of handlers for one test, on a clock that the test moves.
///
/// ```swift
/// let harness = ErrandHarness { handlers, _ in
///     handlers.add(WelcomeEmail.self) { email, _ in
///         outbox.withLock { $0.append(email.address) }
///     }
/// }
/// try await harness.client.enqueue(WelcomeEmail(address: "ada@example.org"))
/// ```
public struct ErrandHarness: Sendable {
    /// The clock of the store, the client and the workers.
    public let clock: ManualClock
    /// Where the jobs live; a memory store unless given.
    public let store: any JobStore
    /// Enqueues and asks.
    public let client: JobClient
    /// What happens, in the client and in every worker of this harness.
    public let events: EventHub
    /// How jobs are done.
    public let handlers: JobHandlers
    /// How workers of this harness work.
    public var configuration: WorkerConfiguration

    /// The default settings of a harness's workers: they never stop trusting their leases, because a test may
    /// move the clock by hours between two beats, and they fire no schedules: ``ScheduleHarness`` does.
    public static var patient: WorkerConfiguration {
        var configuration = WorkerConfiguration()
        configuration.fenceAfter = .days(1000)
        configuration.deadAfter = .days(2000)
        configuration.scheduler = nil
        return configuration
    }

    /// A harness.
    /// - Parameters:
    ///   - clock: For the store, the client and the workers; give a store of your own the same one.
    ///   - store: Where the jobs live; a memory store when `nil`.
    ///   - configuration: Of the workers.
    ///   - seed: Makes ids and jitter repeatable.
    ///   - register: Adds the handlers; gets a client to enqueue from inside them.
    public init(
        clock: ManualClock = ManualClock(),
        store: (any JobStore)? = nil,
        configuration: WorkerConfiguration = ErrandHarness.patient,
        seed: UInt64 = 1,
        register: (inout JobHandlers, JobClient) -> Void = { _, _ in }
    ) {
        self.clock = clock
        let store = store ?? MemoryStore(clock: clock)
        self.store = store
        self.configuration = configuration
        events = EventHub()
        client = JobClient(store: store, events: events, clock: clock, chance: Chance(SeededGenerator(seed: seed)))
        var handlers = JobHandlers()
        register(&handlers, client)
        self.handlers = handlers
    }

    /// A worker of this harness that does not run yet.
    public func worker(interceptors: [any JobInterceptor] = []) -> Worker {
        Worker(
            store: store,
            handlers: handlers,
            configuration: configuration,
            interceptors: interceptors,
            events: events,
            logger: Logger(label: "harness") { _ in SwiftLogNoOpLogHandler() },
            clock: clock,
            chance: client.chance
        )
    }

    /// Runs a worker for the length of `body`, then stops it; what it still runs is given back.
    public func withWorker<Value: Sendable>(
        _ worker: Worker? = nil,
        _ body: (Worker) async throws -> Value
    ) async throws -> Value {
        let worker = worker ?? self.worker()
        let running = Task { try await worker.run() }
        do {
            let value = try await body(worker)
            running.cancel()
            try await running.value
            return value
        } catch {
            running.cancel()
            try? await running.value
            throw error
        }
    }

    /// Runs everything that is ready or due at the clock's time, also what that enqueues, until nothing is left
    /// that could start now. Jobs whose time is later stay; those that were not started in time expire, and holds
    /// whose time is over end.
    /// - Returns: The jobs that ended an attempt, in the order of their ends.
    /// - Throws: `CancellationError`, and what the store throws.
    @discardableResult
    public func runDue() async throws -> [JobID] {
        let ended = EndedJobs()
        let registration = events.observe { if case .ended(let id, _, _, _, _) = $0 { ended.append(id) } }
        defer { registration.cancel() }
        let stream = events.events(buffer: 1)
        // What is too late to start never ends an attempt, so it must be gone before somebody waits for its end.
        while try await store.maintain(.expire).hasMore {}
        try await withWorker { _ in
            var iterator = stream.makeAsyncIterator()
            while try await hasWork() {
                // The stream ends for whoever is cancelled, and would then be asked for ever.
                guard await iterator.next(isolation: nil) != nil else { throw CancellationError() }
            }
        }
        return ended.all
    }

    /// One look, so that a job cannot be missed while it moves from ready to running.
    private func hasWork() async throws -> Bool {
        let pauses = try await store.pauses()
        let unfinished = try await store.list(
            JobFilter(states: [.ready, .scheduled, .retrying, .running], names: Set(handlers.names.keys)),
            page: JobPageRequest(limit: JobPageRequest.largest)
        )
        return unfinished.jobs.contains { job in
            if job.state == .running { return true }
            return job.hold == nil && job.runAt <= clock.now
                && job.payload.version <= handlers.names[job.name] ?? 0
                && !pauses.contains { $0.covers(queue: job.queue, name: job.name, at: clock.now) }
        }
    }
}

/// The ends that one ``ErrandHarness/runDue()`` saw.
private final class EndedJobs: Sendable {
    private let jobs = Mutex<[JobID]>([])

    func append(_ job: JobID) { jobs.withLock { $0.append(job) } }

    var all: [JobID] { jobs.withLock { $0 } }
}
