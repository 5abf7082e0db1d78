// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization

/// A memory store that keeps all rules but one. What is wrong is done to the calls, so the store inside stays as it is.
final class BrokenStore: JobStore {
    struct State {
        /// Fields that were taken from jobs on their way in.
        var claimed: [JobID: ClaimedJob] = [:]
        var lastPayload: Payload?
        var calls = 0
    }

    let inner: MemoryStore
    let flaw: Flaw
    let world: SimulatedProcess
    let state = Mutex(State())
    let hub: LocalHub

    init(_ inner: MemoryStore, _ flaw: Flaw, world: SimulatedProcess) {
        self.inner = inner
        self.flaw = flaw
        self.world = world
        hub = flaw == .lostWakeUp ? LocalHub() : inner.hub
    }

    /// True now and then, so that the flaw hides among calls that are right.
    func strikes(every count: Int) -> Bool {
        state.withLock { state in
            state.calls += 1
            return state.calls % count == 0
        }
    }

    // MARK: Insert

    func insert(_ jobs: [NewJob], offer: ClaimOffer?) async throws -> [InsertAnswer] {
        switch flaw {
        case .insertDropped where strikes(every: 7):
            return jobs.map { .stored($0.id) }
        case .uniqueOutside:
            return try await insertLookingFirst(jobs)
        case .earlyPromotion:
            return try await inner.insert(jobs.map { job in with(job) { $0.start = .now } }, offer: offer)
        default:
            let answers = try await inner.insert(jobs, offer: offer)
            for case .claimed(let job) in answers { remember(job) }
            return answers
        }
    }

    private func insertLookingFirst(_ jobs: [NewJob]) async throws -> [InsertAnswer] {
        var answers: [InsertAnswer] = []
        for job in jobs {
            if let rule = job.unique {
                let found = try await inner.list(JobFilter(), page: JobPageRequest(limit: 500)).jobs
                let live = found.first { $0.tags.contains(rule.key) && !$0.state.isFinal }
                if let live {
                    answers.append(.duplicate(of: live.id, live.state))
                    continue
                }
                try? await world.sleep(for: .milliseconds(300))
            }
            answers += try await inner.insert(
                [
                    with(job) {
                        $0.tags = $0.unique.map { [$0.key] } ?? []
                        $0.unique = nil
                    }
                ],
                offer: nil
            )
        }
        return answers
    }

    private func with(_ job: NewJob, _ change: (inout NewJob) -> Void) -> NewJob {
        var job = job
        change(&job)
        return job
    }

    func remember(_ job: ClaimedJob) {
        state.withLock { $0.claimed[job.lease.job] = job }
    }

    // MARK: Settle

    func settle(_ settlements: [Settlement]) async throws -> [SettleAnswer] {
        switch flaw {
        case .settleDropped where strikes(every: 7):
            return settlements.map { $0.outcome == .released ? .applied(.ready) : .applied(.succeeded) }
        case .unfencedSettle:
            var current = settlements
            for index in current.indices {
                if let newer = state.withLock({ $0.claimed[current[index].lease.job] }) {
                    current[index].lease = newer.lease
                }
            }
            return try await inner.settle(current)
        case .releaseCounted:
            let error = StoredError(type: "Released", message: "counted")
            return try await inner.settle(
                settlements.map { settlement in
                    var settlement = settlement
                    if settlement.outcome == .released {
                        settlement.outcome = .retry(after: .zero, error: error, timedOut: false)
                    }
                    return settlement
                }
            )
        case .oneMoreAttempt:
            let answers = try await inner.settle(settlements)
            for settlement in settlements {
                guard case .failed(.exhausted, _, _) = settlement.outcome else { continue }
                try await act(.retry(spread: .zero), on: settlement.lease.job)
            }
            return answers
        case .epochForgotten:
            return try await inner.settle(settlements.map { Settlement(lease: actual($0.lease), outcome: $0.outcome) })
        default:
            return try await inner.settle(settlements)
        }
    }

    func act(_ action: Operation.Action, on job: JobID) async throws {
        _ = try await inner.operate(Operation(action, on: .ids([job]), actor: "flaw", reason: "flaw"))
    }

    /// The lease that the store inside knows for one whose epoch was held back.
    func actual(_ lease: Lease) -> Lease {
        guard let known = state.withLock({ $0.claimed[lease.job] }), known.lease.worker == lease.worker else {
            return lease
        }
        return known.lease
    }

    func note(_ notes: [LeaseNote]) async throws -> [Bool] {
        guard flaw == .epochForgotten else { return try await inner.note(notes) }
        return try await inner.note(
            notes.map { note in
                LeaseNote(lease: actual(note.lease), lines: note.lines, checkpoints: note.checkpoints)
            }
        )
    }
}
