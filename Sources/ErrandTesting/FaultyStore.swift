// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import Synchronization

/// A store around another one whose calls fail as a test plans it: before their effect, after it with the answer
/// lost, late, or twice.
///
/// It also counts the calls, so that a test can run a scenario once, read the number, and then run it again with
/// each call failing in turn.
public final class FaultyStore: JobStore {
    /// The calls of a store, by name.
    public enum Call: String, Sendable, Hashable, CaseIterable {
        /// ``/ErrandCore/JobStore/insert(_:offer:)``
        case insert
        /// ``/ErrandCore/JobStore/register(_:)``
        case register
        /// ``/ErrandCore/JobStore/retire(_:)``
        case retire
        /// ``/ErrandCore/JobStore/claim(_:)``
        case claim
        /// ``/ErrandCore/JobStore/beat(_:)``
        case beat
        /// ``/ErrandCore/JobStore/settle(_:)``
        case settle
        /// ``/ErrandCore/JobStore/note(_:)``
        case note
        /// ``/ErrandCore/JobStore/jobs(_:parts:)``
        case jobs
        /// ``/ErrandCore/JobStore/list(_:page:)``
        case list
        /// ``/ErrandCore/JobStore/count(_:limit:)``
        case count
        /// ``/ErrandCore/JobStore/counts()``
        case counts
        /// ``/ErrandCore/JobStore/series(_:)``
        case series
        /// ``/ErrandCore/JobStore/workers()``
        case workers
        /// ``/ErrandCore/JobStore/pauses()``
        case pauses
        /// ``/ErrandCore/JobStore/audit(limit:)``
        case audit
        /// ``/ErrandCore/JobStore/setControls(_:)``
        case setControls
        /// ``/ErrandCore/JobStore/operate(_:)``
        case operate
        /// ``/ErrandCore/JobStore/maintain(_:)``
        case maintain
        /// ``/ErrandCore/JobStore/schedules(_:)``
        case schedules
        /// ``/ErrandCore/JobStore/changeSchedules(_:)``
        case changeSchedules
        /// ``/ErrandCore/JobStore/ticks(_:)``
        case ticks
        /// ``/ErrandCore/JobStore/export(_:)``
        case export
        /// ``/ErrandCore/JobStore/endExport(_:as:)``
        case endExport
        /// ``/ErrandCore/JobStore/import(_:)``
        case `import`
    }

    /// What goes wrong with a call.
    public enum Fault: Sendable, Hashable {
        /// It throws this and has no effect.
        case fail(StoreError)
        /// It has its effect, and then throws ``/ErrandCore/StoreError/Code/outcomeUnknown``.
        case loseAnswer
        /// It waits this long on the clock before it starts.
        case delay(Duration)
        /// It is carried out twice, as by a network that repeats; the caller gets the second answer.
        case twice

        /// It fails with ``/ErrandCore/StoreError/Code/unavailable``, as in an outage.
        public static let unavailable = Fault.fail(StoreError(.unavailable, "a planned outage; try again"))
    }

    private struct Plan {
        let fault: Fault
        let call: Call?
        let numbers: ClosedRange<Int>?
    }

    private struct State {
        var plans: [Plan] = []
        var counts: [Call: Int] = [:]
        var total = 0
    }

    private let store: any JobStore
    private let clock: any ErrandClock
    private let state = Mutex(State())

    /// A store that behaves like `store` until faults are planned; delays wait on `clock`.
    public init(_ store: any JobStore, clock: any ErrandClock) {
        self.store = store
        self.clock = clock
    }

    /// The signals of the store inside.
    public var hub: LocalHub { store.hub }

    /// Plans a fault for one call.
    ///
    /// It is call number `number`, from 1, of the calls of this name since the store was made, or of all calls when
    /// `call` is `nil`. Several faults of one call add up.
    public func plan(_ fault: Fault, for call: Call?, number: Int) {
        plan(fault, for: call, numbers: number...number)
    }

    /// Plans a fault for all calls of this name whose number is in the range.
    public func plan(_ fault: Fault, for call: Call?, numbers: ClosedRange<Int>) {
        state.withLock { $0.plans.append(Plan(fault: fault, call: call, numbers: numbers)) }
    }

    /// Plans a fault for every call of this name, or for every call when it is `nil`, until ``heal()``.
    public func planAlways(_ fault: Fault, for call: Call? = nil) {
        state.withLock { $0.plans.append(Plan(fault: fault, call: call, numbers: nil)) }
    }

    /// Forgets all plans; the counts stay.
    public func heal() {
        state.withLock { $0.plans = [] }
    }

    /// How many calls of this name were made, or of all names when it is `nil`; failed ones count.
    public func calls(of call: Call? = nil) -> Int {
        state.withLock { state in call.map { state.counts[$0] ?? 0 } ?? state.total }
    }

    private func perform<Answer: Sendable>(_ call: Call, _ body: () async throws -> Answer) async throws -> Answer {
        let faults: [Fault] = state.withLock { state in
            state.total += 1
            state.counts[call, default: 0] += 1
            let (number, total) = (state.counts[call] ?? 0, state.total)
            return state.plans
                .filter { plan in
                    guard plan.call == nil || plan.call == call else { return false }
                    return plan.numbers.map { $0.contains(plan.call == nil ? total : number) } ?? true
                }
                .map(\.fault)
        }
        for case .delay(let wait) in faults {
            // A store's call runs to its end although its task is cancelled, so the wait is only cut short.
            try? await clock.sleep(for: wait)
        }
        for case .fail(let error) in faults { throw error }
        var answer = try await body()
        if faults.contains(.twice) { answer = try await body() }
        if faults.contains(.loseAnswer) {
            throw StoreError(.outcomeUnknown, "the answer was lost as planned; the write happened")
        }
        return answer
    }
}

extension FaultyStore {
    /// The description of the store inside; never fails.
    public func describe() async -> StoreDescription { await store.describe() }

    /// Closes the store inside; never fails by plan.
    public func close() async throws { try await store.close() }

    /// ``/ErrandCore/JobStore/insert(_:offer:)`` with the faults planned for ``Call/insert``.
    public func insert(_ jobs: [NewJob], offer: ClaimOffer?) async throws -> [InsertAnswer] {
        try await perform(.insert) { try await store.insert(jobs, offer: offer) }
    }

    /// ``/ErrandCore/JobStore/register(_:)`` with the faults planned for ``Call/register``.
    public func register(_ worker: WorkerRegistration) async throws -> MaintenanceReport {
        try await perform(.register) { try await store.register(worker) }
    }

    /// ``/ErrandCore/JobStore/retire(_:)`` with the faults planned for ``Call/retire``.
    public func retire(_ worker: WorkerID) async throws {
        try await perform(.retire) { try await store.retire(worker) }
    }

    /// ``/ErrandCore/JobStore/claim(_:)`` with the faults planned for ``Call/claim``.
    public func claim(_ request: ClaimRequest) async throws -> ClaimAnswer {
        try await perform(.claim) { try await store.claim(request) }
    }

    /// ``/ErrandCore/JobStore/beat(_:)`` with the faults planned for ``Call/beat``.
    public func beat(_ beat: Beat) async throws -> BeatAnswer {
        try await perform(.beat) { try await store.beat(beat) }
    }

    /// ``/ErrandCore/JobStore/settle(_:)`` with the faults planned for ``Call/settle``.
    public func settle(_ settlements: [Settlement]) async throws -> [SettleAnswer] {
        try await perform(.settle) { try await store.settle(settlements) }
    }

    /// ``/ErrandCore/JobStore/note(_:)`` with the faults planned for ``Call/note``.
    public func note(_ notes: [LeaseNote]) async throws -> [Bool] {
        try await perform(.note) { try await store.note(notes) }
    }

    /// ``/ErrandCore/JobStore/jobs(_:parts:)`` with the faults planned for ``Call/jobs``.
    public func jobs(_ ids: [JobID], parts: JobParts) async throws -> [JobRecord] {
        try await perform(.jobs) { try await store.jobs(ids, parts: parts) }
    }

    /// ``/ErrandCore/JobStore/list(_:page:)`` with the faults planned for ``Call/list``.
    public func list(_ filter: JobFilter, page: JobPageRequest) async throws -> JobPage {
        try await perform(.list) { try await store.list(filter, page: page) }
    }

    /// ``/ErrandCore/JobStore/count(_:limit:)`` with the faults planned for ``Call/count``.
    public func count(_ filter: JobFilter, limit: Int) async throws -> BoundedCount {
        try await perform(.count) { try await store.count(filter, limit: limit) }
    }

    /// ``/ErrandCore/JobStore/counts()`` with the faults planned for ``Call/counts``.
    public func counts() async throws -> JobCounts {
        try await perform(.counts) { try await store.counts() }
    }

    /// ``/ErrandCore/JobStore/series(_:)`` with the faults planned for ``Call/series``.
    public func series(_ request: SeriesRequest) async throws -> [SeriesPoint] {
        try await perform(.series) { try await store.series(request) }
    }

    /// ``/ErrandCore/JobStore/workers()`` with the faults planned for ``Call/workers``.
    public func workers() async throws -> [WorkerRecord] {
        try await perform(.workers) { try await store.workers() }
    }

    /// ``/ErrandCore/JobStore/pauses()`` with the faults planned for ``Call/pauses``.
    public func pauses() async throws -> [Pause] {
        try await perform(.pauses) { try await store.pauses() }
    }

    /// ``/ErrandCore/JobStore/audit(limit:)`` with the faults planned for ``Call/audit``.
    public func audit(limit: Int) async throws -> [AuditEntry] {
        try await perform(.audit) { try await store.audit(limit: limit) }
    }

    /// ``/ErrandCore/JobStore/setControls(_:)`` with the faults planned for ``Call/setControls``.
    public func setControls(_ changes: [ControlChange]) async throws {
        try await perform(.setControls) { try await store.setControls(changes) }
    }

    /// ``/ErrandCore/JobStore/operate(_:)`` with the faults planned for ``Call/operate``.
    public func operate(_ operation: Operation) async throws -> OperationReport {
        try await perform(.operate) { try await store.operate(operation) }
    }

    /// ``/ErrandCore/JobStore/maintain(_:)`` with the faults planned for ``Call/maintain``.
    public func maintain(_ task: MaintenanceTask) async throws -> MaintenanceReport {
        try await perform(.maintain) { try await store.maintain(task) }
    }

    /// ``/ErrandCore/JobStore/schedules(_:)`` with the faults planned for ``Call/schedules``.
    public func schedules(_ request: ScheduleRequest) async throws -> ScheduleAnswer {
        try await perform(.schedules) { try await store.schedules(request) }
    }

    /// ``/ErrandCore/JobStore/changeSchedules(_:)`` with the faults planned for ``Call/changeSchedules``.
    public func changeSchedules(_ changes: [ScheduleChange]) async throws -> [ScheduleChangeAnswer] {
        try await perform(.changeSchedules) { try await store.changeSchedules(changes) }
    }

    /// ``/ErrandCore/JobStore/ticks(_:)`` with the faults planned for ``Call/ticks``.
    public func ticks(_ request: TickRequest) async throws -> [TickRecord] {
        try await perform(.ticks) { try await store.ticks(request) }
    }

    /// ``/ErrandCore/JobStore/export(_:)`` with the faults planned for ``Call/export``.
    public func export(_ request: ExportRequest) async throws -> ExportBatch {
        try await perform(.export) { try await store.export(request) }
    }

    /// ``/ErrandCore/JobStore/endExport(_:as:)`` with the faults planned for ``Call/endExport``.
    public func endExport(_ id: ExportID, as end: ExportEnd) async throws {
        try await perform(.endExport) { try await store.endExport(id, as: end) }
    }

    /// ``/ErrandCore/JobStore/import(_:)`` with the faults planned for ``Call/import``.
    public func `import`(_ batch: ExportBatch) async throws -> ImportAnswer {
        try await perform(.import) { try await store.import(batch) }
    }
}
