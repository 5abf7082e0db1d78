// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Something changed in the store. A hint that may be lost: whoever waits also polls.
public enum StoreSignal: Sendable, Hashable {
    /// Work may be ready, or due at a new time, in these queues.
    case work(Set<QueueName>)
    /// These running jobs should stop.
    case cancelled([JobID])
    /// These jobs became final.
    case finished([JobID])
    /// A pause began or ended, or somebody changed a schedule.
    case controls
    /// Another process wrote; anything may have changed.
    case elsewhere
}

/// What clients and workers of one process share about one store: wake-up signals, and the free slots that a
/// worker offers to inserts. Every store owns one.
public final class LocalHub: Sendable {
    /// Answers an insert with a worker's free slots; reserved until ``OfferSource/deliver`` is called.
    public struct OfferSource: Sendable {
        /// Reserves slots for jobs about to be inserted; `nil` when none is free or other work waits.
        public var reserve: @Sendable ([NewJob]) -> ClaimOffer?
        /// Ends a reservation with what the insert claimed, possibly nothing. Always called once for each
        /// reservation, also when the insert failed.
        public var deliver: @Sendable (ClaimOffer, [ClaimedJob]) -> Void

        /// A source.
        public init(
            reserve: @escaping @Sendable ([NewJob]) -> ClaimOffer?,
            deliver: @escaping @Sendable (ClaimOffer, [ClaimedJob]) -> Void
        ) {
            self.reserve = reserve
            self.deliver = deliver
        }
    }

    private struct State {
        var nextToken = 0
        // In the order of registration, which is the order in which they are told and asked.
        var listeners: [(token: Int, hear: @Sendable (StoreSignal) -> Void)] = []
        var sources: [(token: Int, source: OfferSource)] = []
        var watched: [JobID: Int] = [:]
    }

    private let state = Mutex(State())

    /// A hub without listeners.
    public init() {}

    /// Calls `listener` for every signal until the registration is cancelled. The listener must be short and
    /// must not call the store; it runs on whatever thread published.
    public func subscribe(_ listener: @escaping @Sendable (StoreSignal) -> Void) -> HubRegistration {
        let token = state.withLock { state in
            state.nextToken += 1
            state.listeners.append((state.nextToken, listener))
            return state.nextToken
        }
        return HubRegistration { [self] in
            state.withLock { $0.listeners.removeAll { $0.token == token } }
        }
    }

    /// Tells every listener. Engines call it after the commit, never before.
    public func publish(_ signal: StoreSignal) {
        let listeners = state.withLock { $0.listeners }
        for listener in listeners { listener.hear(signal) }
    }

    /// Asks that ``StoreSignal/finished(_:)`` name this job until the registration is cancelled. Ends of jobs
    /// that nobody watches are not published, so that they cost nothing.
    public func watch(_ job: JobID) -> HubRegistration {
        state.withLock { $0.watched[job, default: 0] += 1 }
        return HubRegistration { [self] in
            state.withLock { state in
                guard let count = state.watched[job] else { return }
                state.watched[job] = count > 1 ? count - 1 : nil
            }
        }
    }

    /// Publishes the end of those of these jobs that somebody watches.
    public func publishFinished(_ jobs: [JobID]) {
        let watched = state.withLock { state in
            state.watched.isEmpty ? [] : jobs.filter { state.watched[$0] != nil }
        }
        if !watched.isEmpty { publish(.finished(watched)) }
    }

    /// Whether anybody watches a job; an engine that would have to look ids up may skip it otherwise.
    public var isWatched: Bool { state.withLock { !$0.watched.isEmpty } }

    /// Lets a worker offer its slots until the registration is cancelled.
    public func offer(_ source: OfferSource) -> HubRegistration {
        let token = state.withLock { state in
            state.nextToken += 1
            state.sources.append((state.nextToken, source))
            return state.nextToken
        }
        return HubRegistration { [self] in
            state.withLock { $0.sources.removeAll { $0.token == token } }
        }
    }

    /// The first offer for these jobs, with the source that must be told how it went.
    public func takeOffer(for jobs: [NewJob]) -> (offer: ClaimOffer, source: OfferSource)? {
        let sources = state.withLock { $0.sources }
        for (_, source) in sources {
            if let offer = source.reserve(jobs) { return (offer, source) }
        }
        return nil
    }
}

/// A registration with a ``LocalHub``; cancel it to end it. Dropping it does not.
public struct HubRegistration: Sendable {
    private let onCancel: @Sendable () -> Void

    /// A registration whose ``cancel()`` calls `onCancel`.
    package init(onCancel: @escaping @Sendable () -> Void) {
        self.onCancel = onCancel
    }

    /// Ends the registration. A call that is under way on another thread may still finish.
    public func cancel() {
        onCancel()
    }
}
