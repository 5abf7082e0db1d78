// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
public import Logging
public import ServiceLifecycle

/// Carries jobs from an outbox to their store, in order, for as long as it runs.
///
/// ```swift
/// let relay = OutboxRelay(from: outbox, to: redis)
/// let application = Application(router: router, services: [relay, worker])
/// ```
///
/// A job is stored once: the relay stores first and removes afterwards, and a store answers an id that it has with
/// `stored` and leaves it alone. Several relays on one outbox do no harm. An outage of the store is waited for, however
/// long it is; after one that is longer than finished jobs are kept, a job whose answer was lost at its beginning runs
/// again.
public struct OutboxRelay: Service {
    private let outbox: any JobOutbox
    private let store: any JobStore
    private let configuration: OutboxRelayConfiguration
    private let clock: any ErrandClock
    private let logger: Logger

    /// A relay; nothing happens before ``run()``.
    /// - Parameters:
    ///   - outbox: Where the jobs are.
    ///   - store: Where they go.
    ///   - configuration: How large the bites are.
    ///   - clock: Measures waits, and how long entries have waited.
    ///   - logger: Told when the store is away and when it is back, and of each job that it refuses.
    public init(
        from outbox: any JobOutbox,
        to store: any JobStore,
        configuration: OutboxRelayConfiguration = OutboxRelayConfiguration(),
        clock: any ErrandClock = SystemClock.shared,
        logger: Logger = Logger(label: "errand.outbox")
    ) {
        self.outbox = outbox
        self.store = store
        self.configuration = configuration
        self.clock = clock
        self.logger = logger
    }

    /// Relays until the task is cancelled or the service is shut down; what is left stays in the outbox.
    public func run() async {
        let wakeUp = WakeUp()
        let registration = outbox.hub.subscribe { _ in wakeUp.signal() }
        defer { registration.cancel() }
        await cancelWhenGracefulShutdown {
            var wait: Duration?
            while !Task.isCancelled {
                do {
                    let hasMore = try await relayBatch()
                    if wait != nil { logger.notice("relaying goes on") }
                    wait = nil
                    if !hasMore { await wakeUp.wait(upTo: configuration.pollInterval, on: clock) }
                } catch {
                    if wait == nil {
                        logger.warning("relaying is delayed", metadata: [LogKeys.error: "\(error)"])
                    }
                    let next = min((wait ?? .milliseconds(50)) * 2, configuration.longestWait)
                    wait = next
                    // Signals of new entries do not bring the store back.
                    try? await clock.sleep(for: next)
                }
            }
        }
    }

    /// Relays everything that is there now; for scripts and tests.
    /// - Throws: ``/ErrandCore/StoreError`` when the outbox or the store is away.
    public func relayAll() async throws {
        while try await relayBatch() {}
    }

    /// - Returns: Whether there may be more.
    private func relayBatch() async throws -> Bool {
        let entries = try await outbox.oldest(limit: configuration.batchLimit)
        guard !entries.isEmpty else { return false }
        let now = clock.now
        var jobs: [NewJob] = []
        var good: [OutboxEntry] = []
        for entry in entries {
            do {
                jobs.append(try entry.job(storedAt: now))
                good.append(entry)
            } catch {
                try await refuse(entry, error)
            }
        }
        let answers = try await store.insert(jobs, offer: nil)
        var done: [OutboxEntry] = []
        for (entry, answer) in zip(good, answers) {
            if case .refused(let error) = answer {
                // Away, not wrong: the next try may store it.
                guard !error.isTransient else { throw error }
                try await refuse(entry, error)
            } else {
                done.append(entry)
            }
        }
        try await outbox.remove(done)
        return entries.count == configuration.batchLimit
    }

    private func refuse(_ entry: OutboxEntry, _ error: StoreError) async throws {
        logger.error(
            "an entry of the outbox is refused and set aside",
            metadata: [
                LogKeys.jobID: "\((try? entry.job.get().id.description) ?? "entry \(entry.number)")",
                LogKeys.error: "\(error)",
            ]
        )
        try await outbox.refuse(entry, because: error)
    }
}
