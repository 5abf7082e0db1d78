// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Synchronization

/// A store that breaks one promise, so that the check of a chaos run is seen to find it.
final class FlawedStore: JobStore {
    /// What it does wrong.
    enum Flaw: String, CaseIterable {
        /// Takes the write of an old lease as if it were that of the one that holds.
        case unfenced
        /// Acknowledges one insert in twenty and stores nothing: the job is in neither of two places between two writes.
        case forgetful
        /// Lets a failed job go from one list and never comes to put it into the other: it waits for ever.
        case stuck
    }

    private let store: any JobStore
    private let flaw: Flaw
    private let calls = Atomic<Int>(0)

    init(_ store: any JobStore, _ flaw: Flaw) {
        (self.store, self.flaw) = (store, flaw)
    }

    var hub: LocalHub { store.hub }

    func insert(_ jobs: [NewJob], offer: ClaimOffer?) async throws -> [InsertAnswer] {
        if flaw == .forgetful, calls.add(1, ordering: .relaxed).newValue.isMultiple(of: 20) {
            return jobs.map { .stored($0.id) }
        }
        return try await store.insert(jobs, offer: offer)
    }

    func settle(_ settlements: [Settlement]) async throws -> [SettleAnswer] {
        var settlements = settlements
        if flaw == .stuck {
            for index in settlements.indices {
                guard case .retry(_, let error, let timedOut) = settlements[index].outcome else { continue }
                settlements[index].outcome = .retry(after: .days(1), error: error, timedOut: timedOut)
            }
        }
        var answers = try await store.settle(settlements)
        guard flaw == .unfenced else { return answers }
        for index in answers.indices where answers[index] == .leaseLost {
            var settlement = settlements[index]
            guard let row = try await store.jobs([settlement.lease.job], parts: []).first, row.state == .running,
                let worker = row.worker
            else { continue }
            settlement.lease = Lease(job: row.id, worker: worker, epoch: row.epoch)
            if let answer = try await store.settle([settlement]).first { answers[index] = answer }
        }
        return answers
    }
}

extension FlawedStore {
    func describe() async -> StoreDescription { await store.describe() }
    func close() async throws { try await store.close() }
    func register(_ worker: WorkerRegistration) async throws -> MaintenanceReport { try await store.register(worker) }
    func retire(_ worker: WorkerID) async throws { try await store.retire(worker) }
    func claim(_ request: ClaimRequest) async throws -> ClaimAnswer { try await store.claim(request) }
    func beat(_ beat: Beat) async throws -> BeatAnswer { try await store.beat(beat) }
    func note(_ notes: [LeaseNote]) async throws -> [Bool] { try await store.note(notes) }
    func jobs(_ ids: [JobID], parts: JobParts) async throws -> [JobRecord] { try await store.jobs(ids, parts: parts) }
    func list(_ filter: JobFilter, page: JobPageRequest) async throws -> JobPage {
        try await store.list(filter, page: page)
    }
    func count(_ filter: JobFilter, limit: Int) async throws -> BoundedCount {
        try await store.count(filter, limit: limit)
    }
    func counts() async throws -> JobCounts { try await store.counts() }
    func series(_ request: SeriesRequest) async throws -> [SeriesPoint] { try await store.series(request) }
    func workers() async throws -> [WorkerRecord] { try await store.workers() }
    func pauses() async throws -> [Pause] { try await store.pauses() }
    func audit(limit: Int) async throws -> [AuditEntry] { try await store.audit(limit: limit) }
    func schedules(_ request: ScheduleRequest) async throws -> ScheduleAnswer { try await store.schedules(request) }
    func changeSchedules(_ changes: [ScheduleChange]) async throws -> [ScheduleChangeAnswer] {
        try await store.changeSchedules(changes)
    }
    func ticks(_ request: TickRequest) async throws -> [TickRecord] { try await store.ticks(request) }
    func setControls(_ changes: [ControlChange]) async throws { try await store.setControls(changes) }
    func operate(_ operation: Operation) async throws -> OperationReport { try await store.operate(operation) }
    func maintain(_ task: MaintenanceTask) async throws -> MaintenanceReport { try await store.maintain(task) }
}
