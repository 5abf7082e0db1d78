// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import Errand

/// The store as one process of a simulation sees it: every call goes over the network and into the history.
package final class SimulatedConnection: JobStore {
    package let hub = LocalHub()
    let process: SimulatedProcess
    private let network: SimulatedNetwork

    init(_ process: SimulatedProcess, network: SimulatedNetwork) {
        self.process = process
        self.network = network
    }

    /// The reply of a call whose answer no check asks for.
    @Sendable
    private static func unseen(_ answer: some Sendable) -> StoreReply { .done }

    private func perform<Answer: Sendable>(
        _ request: StoreRequest,
        reply: @escaping @Sendable (Answer) -> StoreReply,
        _ body: @escaping @Sendable (any JobStore) async throws -> Answer
    ) async throws -> Answer {
        guard !network.isClosed else { throw StoreError(.closed, "the simulation is over") }
        let call = network.history.invoke(request, in: process.number)
        let result = await network.send(call, of: process.number, reply, body)
        guard !network.isClosed else { throw StoreError(.closed, "the simulation is over") }
        switch result {
        case .success(let answer):
            network.history.record(.answered(call: call), in: process.number)
            return answer
        case .failure(let error):
            let code = (error as? StoreError)?.code ?? .corrupt
            network.history.record(.failed(call: call, code), in: process.number)
            throw error
        }
    }
}

extension SimulatedConnection {
    package func describe() async -> StoreDescription { await network.store.describe() }

    /// Nothing: the simulation closes the network.
    package func close() async throws {}

    package func insert(_ jobs: [NewJob], offer: ClaimOffer?) async throws -> [InsertAnswer] {
        try await perform(.insert(jobs, offer: offer), reply: StoreReply.insert) {
            try await $0.insert(jobs, offer: offer)
        }
    }

    package func register(_ worker: WorkerRegistration) async throws -> MaintenanceReport {
        try await perform(.register(worker), reply: StoreReply.maintain) { try await $0.register(worker) }
    }

    package func retire(_ worker: WorkerID) async throws {
        try await perform(.retire(worker), reply: Self.unseen) { try await $0.retire(worker) }
    }

    package func claim(_ request: ClaimRequest) async throws -> ClaimAnswer {
        try await perform(.claim(request), reply: StoreReply.claim) { try await $0.claim(request) }
    }

    package func beat(_ beat: Beat) async throws -> BeatAnswer {
        try await perform(.beat(beat), reply: StoreReply.beat) { try await $0.beat(beat) }
    }

    package func settle(_ settlements: [Settlement]) async throws -> [SettleAnswer] {
        try await perform(.settle(settlements), reply: StoreReply.settle) { try await $0.settle(settlements) }
    }

    package func note(_ notes: [LeaseNote]) async throws -> [Bool] {
        try await perform(.note(notes), reply: StoreReply.note) { try await $0.note(notes) }
    }

    package func setControls(_ changes: [ControlChange]) async throws {
        try await perform(.controls(changes), reply: Self.unseen) { try await $0.setControls(changes) }
    }

    package func operate(_ operation: Operation) async throws -> OperationReport {
        try await perform(.operate(operation), reply: StoreReply.operate) { try await $0.operate(operation) }
    }

    package func maintain(_ task: MaintenanceTask) async throws -> MaintenanceReport {
        try await perform(.maintain(task), reply: StoreReply.maintain) { try await $0.maintain(task) }
    }

    package func changeSchedules(_ changes: [ScheduleChange]) async throws -> [ScheduleChangeAnswer] {
        try await perform(.schedules(changes), reply: StoreReply.schedules) { try await $0.changeSchedules(changes) }
    }

    package func schedules(_ request: ScheduleRequest) async throws -> ScheduleAnswer {
        try await perform(.read, reply: Self.unseen) { try await $0.schedules(request) }
    }

    package func ticks(_ request: TickRequest) async throws -> [TickRecord] {
        try await perform(.read, reply: Self.unseen) { try await $0.ticks(request) }
    }

    package func jobs(_ ids: [JobID], parts: JobParts) async throws -> [JobRecord] {
        try await perform(.read, reply: Self.unseen) { try await $0.jobs(ids, parts: parts) }
    }

    package func list(_ filter: JobFilter, page: JobPageRequest) async throws -> JobPage {
        try await perform(.read, reply: Self.unseen) { try await $0.list(filter, page: page) }
    }

    package func count(_ filter: JobFilter, limit: Int) async throws -> BoundedCount {
        try await perform(.read, reply: Self.unseen) { try await $0.count(filter, limit: limit) }
    }

    package func counts() async throws -> JobCounts {
        try await perform(.read, reply: Self.unseen) { try await $0.counts() }
    }

    package func series(_ request: SeriesRequest) async throws -> [SeriesPoint] {
        try await perform(.read, reply: Self.unseen) { try await $0.series(request) }
    }

    package func workers() async throws -> [WorkerRecord] {
        try await perform(.read, reply: Self.unseen) { try await $0.workers() }
    }

    package func pauses() async throws -> [Pause] {
        try await perform(.read, reply: Self.unseen) { try await $0.pauses() }
    }

    package func audit(limit: Int) async throws -> [AuditEntry] {
        try await perform(.read, reply: Self.unseen) { try await $0.audit(limit: limit) }
    }
}
