// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization

extension BrokenStore {
    func claim(_ request: ClaimRequest) async throws -> ClaimAnswer {
        var request = request
        if flaw == .unknownNames { request.names.merge([Chore.name: 1, Novelty.name: 1]) { $1 } }
        var answer = try await inner.claim(request)
        switch flaw {
        case .doubleClaim:
            let mine = answer.jobs
            if strikes(every: 5), let other = state.withLock({ $0.claimed.values.min { $0.lease.job < $1.lease.job } }),
                let row = try await inner.jobs([other.lease.job], parts: .payload).first, row.isHeld(by: other.lease),
                !mine.contains(where: { $0.lease.job == other.lease.job })
            {
                let lease = Lease(job: row.id, worker: request.worker, epoch: other.lease.epoch)
                answer.jobs.append(ClaimedJob(lease: lease, record: other.record))
            }
            for job in mine { remember(job) }
        case .retryCountedTwice:
            for index in answer.jobs.indices { answer.jobs[index].record.failures *= 2 }
        case .payloadMixedUp:
            for index in answer.jobs.indices {
                let last = state.withLock { state in
                    defer { state.lastPayload = answer.jobs[index].record.payload }
                    return state.lastPayload
                }
                if strikes(every: 5), let last { answer.jobs[index].record.payload = last }
            }
        case .epochForgotten:
            for index in answer.jobs.indices {
                remember(answer.jobs[index])
                let lease = answer.jobs[index].lease
                answer.jobs[index].lease = Lease(job: lease.job, worker: lease.worker, epoch: 1)
                answer.jobs[index].record.epoch = 1
            }
        default:
            for job in answer.jobs { remember(job) }
        }
        return answer
    }

    func beat(_ beat: Beat) async throws -> BeatAnswer {
        var beat = beat
        if flaw == .epochForgotten { beat.held = beat.held.map(actual) }
        var answer = try await inner.beat(beat)
        if flaw == .beatHidesLosses { answer.lost = [] }
        return answer
    }

    func register(_ worker: WorkerRegistration) async throws -> MaintenanceReport { try await inner.register(worker) }

    func retire(_ worker: WorkerID) async throws { try await inner.retire(worker) }

    // MARK: Maintain

    func maintain(_ task: MaintenanceTask) async throws -> MaintenanceReport {
        switch (flaw, task) {
        case (.rescueOfTheLiving, .rescue(_, let asking)):
            return try await inner.maintain(.rescue(silence: .seconds(4), sparing: asking))
        case (.rescueForgets, .rescue):
            return MaintenanceReport()
        case (.crashForgiven, .rescue(let silence, _)):
            let now = world.now
            for worker in try await inner.workers() where now - worker.lastSeen > silence {
                try await inner.retire(worker.registration.id)
            }
            return MaintenanceReport()
        case (.pruneOfTheLiving, .prune):
            let waiting = try await inner.list(JobFilter(states: [.scheduled, .retrying, .ready]), page: .init()).jobs
            if strikes(every: 3), let victim = waiting.last { try await act(.delete, on: victim.id) }
            return try await inner.maintain(task)
        default:
            return try await inner.maintain(task)
        }
    }

    func operate(_ operation: Operation) async throws -> OperationReport {
        guard flaw == .cancelIgnored, operation.action == .cancel else { return try await inner.operate(operation) }
        var dry = operation
        dry.isDryRun = true
        return try await inner.operate(dry)
    }

    func schedules(_ request: ScheduleRequest) async throws -> ScheduleAnswer { try await inner.schedules(request) }

    func changeSchedules(_ changes: [ScheduleChange]) async throws -> [ScheduleChangeAnswer] {
        try await inner.changeSchedules(changes)
    }

    func ticks(_ request: TickRequest) async throws -> [TickRecord] { try await inner.ticks(request) }

    func setControls(_ changes: [ControlChange]) async throws {
        if flaw == .pauseIgnored { return }
        try await inner.setControls(changes)
    }

    // MARK: Inspect

    func counts() async throws -> JobCounts {
        var counts = try await inner.counts()
        guard flaw == .endCountedTwice else { return counts }
        for index in counts.rows.indices where counts.rows[index].state == .failed { counts.rows[index].count += 1 }
        return counts
    }

    func describe() async -> StoreDescription { await inner.describe() }

    func close() async throws { try await inner.close() }

    func jobs(_ ids: [JobID], parts: JobParts) async throws -> [JobRecord] { try await inner.jobs(ids, parts: parts) }

    func list(_ filter: JobFilter, page: JobPageRequest) async throws -> JobPage {
        try await inner.list(filter, page: page)
    }

    func count(_ filter: JobFilter, limit: Int) async throws -> BoundedCount {
        try await inner.count(filter, limit: limit)
    }

    func series(_ request: SeriesRequest) async throws -> [SeriesPoint] { try await inner.series(request) }

    func workers() async throws -> [WorkerRecord] { try await inner.workers() }

    func pauses() async throws -> [Pause] { try await inner.pauses() }

    func audit(limit: Int) async throws -> [AuditEntry] { try await inner.audit(limit: limit) }
}
