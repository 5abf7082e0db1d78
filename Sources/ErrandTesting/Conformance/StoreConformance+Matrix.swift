// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    private static let actions: [Operation.Action] = [
        .cancel, .retry(spread: .zero), .edit(JobEdit(priority: 1)), .edit(JobEdit(queue: "other", start: .now)),
        .editAndRetry(JobEdit(payload: .text("new"))), .delete, .hold(lasting: nil), .release,
    ]

    /// What an operator's action makes of a job in a state: the state after it, or `nil` when it is refused.
    ///
    /// Written by hand, so that the core's decisions are checked and not only repeated.
    static func wanted(_ action: Operation.Action, on state: JobState) -> JobState? {
        switch action {
        case .cancel:
            if state == .running { return .running }
            return state.isFinal && state != .cancelled ? nil : .cancelled
        case .retry, .editAndRetry: return state == .waiting || state == .running ? nil : .ready
        case .edit(let edit):
            if state == .running { return nil }
            return edit.start != nil && (state == .scheduled || state == .retrying) ? .ready : state
        case .delete: return state == .running ? nil : state
        case .hold: return state < .running ? state : nil
        case .release: return state
        }
    }

    static let matrixCases: [Case] = StoreBench.reachable.map { state in
        Case("a job that is \(state.word): every operation, write and enqueue is allowed or refused, nothing between") {
            bench in
            for action in actions { try await bench.meets(action, in: state) }
            try await bench.isUntouched(in: state)
        }
    }
}

extension StoreBench {
    /// An operator's action meets a job in a state.
    func meets(_ action: Operation.Action, in state: JobState) async throws {
        let worker = try await worker()
        let made = try await make(state, worker: worker)
        let before = try await record(made.id)
        equal(before.state, state, "the state before \(action)")
        let report = try await operate(action, made.id)
        let after = try await store.jobs([made.id], parts: .all).first
        let wanted = StoreConformance.wanted(action, on: state)
        equal(report.refused[made.id] == nil, wanted != nil, "\(action) is allowed")
        equal(report.changed.count + report.unchanged + report.refused.count, 1, "jobs in the report of \(action)")
        if let wanted, case .delete = action {
            equal(after, nil, "the \(wanted) job after \(action)")
        } else {
            equal(after?.state, wanted ?? state, "the state after \(action)")
            expect(state == after?.state || after.map { state.canMove(to: $0.state) } == true, "an illegal move")
        }
        if report.changed.isEmpty { equal(after, before, "the record after \(action) changed nothing") }
        equal(try await store.maintain(.recount).affected, 0, "counts repaired after \(action)")
        try await clean()
    }

    /// Nothing but an operator moves a job in this state, unless it is due or runs.
    func isUntouched(in state: JobState) async throws {
        let worker = try await worker()
        let made = try await make(state, worker: worker)
        let before = try await record(made.id)
        let stale = Lease(job: made.id, worker: worker, epoch: max(before.epoch - 1, 0))
        if state != .running, let lease = made.lease { try await isFenced(lease, "in \(state)") }
        try await isFenced(stale, "in \(state)")
        for task in [MaintenanceTask.expire, .sweep, .recount, .rescue(silence: .hours(1)), .prune(RetentionPolicy())] {
            _ = try await store.maintain(task)
        }
        if state != .ready { _ = try await claim(worker) }
        _ = try await insert(job(unique: UniqueRule(key: "another")))
        equal(try await record(made.id), before, "the record in \(state)")
        try await clean()
    }

    /// Deletes everything.
    func clean() async throws {
        for worker in try await store.workers() { try await store.retire(worker.registration.id) }
        let everything = Operation.Selection.filter(JobFilter(), after: nil)
        _ = try await store.operate(Operation(.delete, on: everything, actor: "test", reason: "clean"))
        equal(try await store.counts().count(), 0, "jobs after deleting everything")
    }
}
