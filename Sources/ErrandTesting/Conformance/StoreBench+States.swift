// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreBench {
    /// The states that a job can be brought to without workflows; `ready` comes last, so that no other job is
    /// claimed in its place.
    static let reachable = JobState.allCases.filter { $0 != .skipped && $0 != .ready } + [.ready]

    /// Brings a fresh job into a state by legal moves only.
    ///
    /// No other job of the default queue may be ready.
    func make(_ state: JobState, worker: WorkerID) async throws -> (id: JobID, lease: Lease?) {
        switch state {
        case .waiting:
            let rule = UniqueRule(key: "made \(id())", conflict: .runAgainAfter)
            _ = try await run(job(unique: rule), on: worker)
            return (try await put(job(unique: rule)), nil)
        case .scheduled:
            return (try await put(job(start: .after(.hours(1)))), nil)
        case .ready:
            return (try await put(job()), nil)
        case .expired:
            let id = try await put(job("strange") { $0.startWithin = .microseconds(1) })
            clock.advance(by: .microseconds(1))
            _ = try await store.maintain(.expire)
            return (id, nil)
        case .cancelled, .skipped:
            let id = try await put(job(start: .after(.hours(1))))
            try await operate(.cancel, id)
            return (id, nil)
        case .running:
            let claimed = try await run(on: worker)
            return (claimed.record.id, claimed.lease)
        case .retrying, .succeeded, .failed:
            let claimed = try await run(on: worker)
            let outcome: Outcome =
                state == .retrying ? .again(after: .hours(1)) : state == .failed ? .failure : .success
            try await ends(claimed.lease, outcome, as: state)
            return (claimed.record.id, claimed.lease)
        }
    }
}
