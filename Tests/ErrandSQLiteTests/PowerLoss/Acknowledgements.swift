// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

@testable import ErrandSQLite

/// What a store has promised before the power went: how far each job is at least.
final class Acknowledgements: Sendable {
    /// The last that was acknowledged about a job.
    struct Promise: Sendable {
        /// Rises with each claim and each settle; see ``Acknowledgements/progress(epoch:isRunning:)``.
        var progress: Int64
        /// The state that was acknowledged, once it is final.
        var end: JobState?

        func isKept(by record: JobRecord) -> Bool {
            if let end, record.state != end { return false }
            return Acknowledgements.progress(epoch: record.epoch, isRunning: record.state == .running) >= progress
        }
    }

    private let promises = Mutex<[JobID: Promise]>([:])

    var all: [JobID: Promise] { promises.withLock { $0 } }

    /// Each claim raises the epoch, and what ends an attempt comes after its claim.
    static func progress(epoch: Int64, isRunning: Bool) -> Int64 { epoch * 2 + (isRunning ? 0 : 1) }

    func inserted(_ answers: [InsertAnswer]) {
        for answer in answers {
            switch answer {
            case .stored(let id): raise(id, to: Self.progress(epoch: 0, isRunning: false))
            case .claimed(let job): claimed(job)
            case .duplicate, .replaced, .refused: break
            }
        }
    }

    func claimed(_ job: ClaimedJob) {
        raise(job.record.id, to: Self.progress(epoch: job.lease.epoch, isRunning: true))
    }

    func settled(_ settlements: [Settlement], _ answers: [SettleAnswer]) {
        for (settlement, answer) in zip(settlements, answers) {
            guard case .applied(let state) = answer else { continue }
            let progress = Self.progress(epoch: settlement.lease.epoch, isRunning: false)
            raise(settlement.lease.job, to: progress, end: state.isFinal ? state : nil)
        }
    }

    private func raise(_ id: JobID, to progress: Int64, end: JobState? = nil) {
        promises.withLock { promises in
            let old = promises[id]
            promises[id] = Promise(progress: max(progress, old?.progress ?? 0), end: end ?? old?.end)
        }
    }
}

/// A SQLite store that writes down what it acknowledges while the disk has power.
final class AcknowledgingStore: JobStore {
    private let store: SQLiteStore
    private let disk: VolatileDisk
    private let promises: Acknowledgements

    init(_ store: SQLiteStore, on disk: VolatileDisk, _ promises: Acknowledgements) {
        (self.store, self.disk, self.promises) = (store, disk, promises)
    }

    func insert(_ jobs: [NewJob], offer: ClaimOffer?) async throws -> [InsertAnswer] {
        let answers = try await store.insert(jobs, offer: offer)
        disk.whilePowered { promises.inserted(answers) }
        return answers
    }

    func claim(_ request: ClaimRequest) async throws -> ClaimAnswer {
        let answer = try await store.claim(request)
        disk.whilePowered { for job in answer.jobs { promises.claimed(job) } }
        return answer
    }

    func settle(_ settlements: [Settlement]) async throws -> [SettleAnswer] {
        let answers = try await store.settle(settlements)
        disk.whilePowered { promises.settled(settlements, answers) }
        return answers
    }

    var hub: LocalHub { store.hub }
    func describe() async -> StoreDescription { await store.describe() }
    func close() async throws { try await store.close() }
    func register(_ worker: WorkerRegistration) async throws -> MaintenanceReport { try await store.register(worker) }
    func retire(_ worker: WorkerID) async throws { try await store.retire(worker) }
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
    func operate(_ operation: ErrandCore.Operation) async throws -> OperationReport {
        try await store.operate(operation)
    }
    func maintain(_ task: MaintenanceTask) async throws -> MaintenanceReport { try await store.maintain(task) }
}
