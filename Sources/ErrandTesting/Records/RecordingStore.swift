// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import Errand

/// A store that writes down what it is asked to insert, and what it answers to inserts, claims and settlements.
package final class RecordingStore: JobStore {
    private let store: any JobStore
    private let recorder: FactRecorder

    package init(_ store: any JobStore, _ recorder: FactRecorder) {
        self.store = store
        self.recorder = recorder
    }

    package var hub: LocalHub { store.hub }

    package func insert(_ jobs: [NewJob], offer: ClaimOffer?) async throws -> [InsertAnswer] {
        recorder.write(RecordedFact(.offered, jobs: jobs.map(\.id)))
        let since = recorder.now
        let answers = try await store.insert(jobs, offer: offer)
        var fact = RecordedFact(.acknowledged, since: since)
        var claimed: [ClaimedJob] = []
        for (job, answer) in zip(jobs, answers) {
            fact.jobs.append(answer.id ?? job.id)
            switch answer {
            case .stored: fact.words.append("stored")
            case .claimed(let job):
                fact.words.append("stored")
                claimed.append(job)
            case .duplicate: fact.words.append("duplicate")
            case .replaced: fact.words.append("replaced")
            case .refused: fact.words.append("refused")
            }
        }
        write(claimed, since: since)
        recorder.write(fact)
        return answers
    }

    package func claim(_ request: ClaimRequest) async throws -> ClaimAnswer {
        let since = recorder.now
        let answer = try await store.claim(request)
        write(answer.jobs, since: since)
        return answer
    }

    private func write(_ claimed: [ClaimedJob], since: Int64) {
        guard !claimed.isEmpty else { return }
        let epochs = claimed.map(\.lease.epoch)
        recorder.write(RecordedFact(.claimed, jobs: claimed.map(\.lease.job), epochs: epochs, since: since))
    }

    package func settle(_ settlements: [Settlement]) async throws -> [SettleAnswer] {
        let since = recorder.now
        let answers = try await store.settle(settlements)
        let words = answers.map { answer in
            switch answer {
            case .applied(let state): state.word
            case .leaseLost: "leaseLost"
            case .refused: "refused"
            }
        }
        let leases = settlements.map(\.lease)
        recorder.write(
            RecordedFact(.settled, jobs: leases.map(\.job), epochs: leases.map(\.epoch), words: words, since: since)
        )
        return answers
    }
}

extension RecordingStore {
    package func describe() async -> StoreDescription { await store.describe() }
    package func close() async throws { try await store.close() }
    package func register(_ worker: WorkerRegistration) async throws -> MaintenanceReport {
        try await store.register(worker)
    }
    package func retire(_ worker: WorkerID) async throws { try await store.retire(worker) }
    package func beat(_ beat: Beat) async throws -> BeatAnswer { try await store.beat(beat) }
    package func note(_ notes: [LeaseNote]) async throws -> [Bool] { try await store.note(notes) }
    package func jobs(_ ids: [JobID], parts: JobParts) async throws -> [JobRecord] {
        try await store.jobs(ids, parts: parts)
    }
    package func list(_ filter: JobFilter, page: JobPageRequest) async throws -> JobPage {
        try await store.list(filter, page: page)
    }
    package func count(_ filter: JobFilter, limit: Int) async throws -> BoundedCount {
        try await store.count(filter, limit: limit)
    }
    package func counts() async throws -> JobCounts { try await store.counts() }
    package func series(_ request: SeriesRequest) async throws -> [SeriesPoint] { try await store.series(request) }
    package func workers() async throws -> [WorkerRecord] { try await store.workers() }
    package func pauses() async throws -> [Pause] { try await store.pauses() }
    package func audit(limit: Int) async throws -> [AuditEntry] { try await store.audit(limit: limit) }
    package func setControls(_ changes: [ControlChange]) async throws { try await store.setControls(changes) }
    package func operate(_ operation: Operation) async throws -> OperationReport {
        try await store.operate(operation)
    }
    package func maintain(_ task: MaintenanceTask) async throws -> MaintenanceReport {
        try await store.maintain(task)
    }
    package func schedules(_ request: ScheduleRequest) async throws -> ScheduleAnswer {
        try await store.schedules(request)
    }
    package func changeSchedules(_ changes: [ScheduleChange]) async throws -> [ScheduleChangeAnswer] {
        try await store.changeSchedules(changes)
    }
    package func ticks(_ request: TickRequest) async throws -> [TickRecord] { try await store.ticks(request) }
    package func export(_ request: ExportRequest) async throws -> ExportBatch { try await store.export(request) }
    package func endExport(_ id: ExportID, as end: ExportEnd) async throws {
        try await store.endExport(id, as: end)
    }
    package func `import`(_ batch: ExportBatch) async throws -> ImportAnswer { try await store.import(batch) }
}
