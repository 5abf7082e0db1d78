// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Synchronization

/// A store around another one that writes down what a worker asks and nobody hears of.
final class SpyStore: JobStore {
    private let store: any JobStore
    /// Signals of the store inside go past it when it is deaf, as those of another process would.
    let hub: LocalHub
    private let claimed = Mutex<[ClaimRequest]>([])
    private let maintained = Mutex<[(task: MaintenanceTask, report: MaintenanceReport)]>([])
    private let lastBeat = Mutex<Beat?>(nil)

    init(_ store: any JobStore, isDeaf: Bool = false) {
        self.store = store
        hub = isDeaf ? LocalHub() : store.hub
    }

    /// The claims that were made.
    var claims: [ClaimRequest] { claimed.withLock { $0 } }

    /// What maintenance did, task by task.
    var maintenance: [(task: MaintenanceTask, report: MaintenanceReport)] { maintained.withLock { $0 } }

    /// The newest beat.
    var beat: Beat? { lastBeat.withLock { $0 } }

    func claim(_ request: ClaimRequest) async throws -> ClaimAnswer {
        claimed.withLock { $0.append(request) }
        return try await store.claim(request)
    }

    func maintain(_ task: MaintenanceTask) async throws -> MaintenanceReport {
        let report = try await store.maintain(task)
        maintained.withLock { $0.append((task, report)) }
        return report
    }

    func beat(_ beat: Beat) async throws -> BeatAnswer {
        lastBeat.withLock { $0 = beat }
        return try await store.beat(beat)
    }
}

extension SpyStore {
    func describe() async -> StoreDescription { await store.describe() }

    func close() async throws { try await store.close() }

    func insert(_ jobs: [NewJob], offer: ClaimOffer?) async throws -> [InsertAnswer] {
        try await store.insert(jobs, offer: offer)
    }

    func register(_ worker: WorkerRegistration) async throws -> MaintenanceReport {
        try await store.register(worker)
    }

    func retire(_ worker: WorkerID) async throws { try await store.retire(worker) }

    func settle(_ settlements: [Settlement]) async throws -> [SettleAnswer] { try await store.settle(settlements) }

    func note(_ notes: [LeaseNote]) async throws -> [Bool] { try await store.note(notes) }

    func jobs(_ ids: [JobID], parts: JobParts) async throws -> [JobRecord] {
        try await store.jobs(ids, parts: parts)
    }

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
}
