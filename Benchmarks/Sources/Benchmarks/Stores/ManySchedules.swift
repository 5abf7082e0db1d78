// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand

/// As many schedules as are asked for, all with the same trigger and a job that does nothing.
struct ManySchedules {
    let count: Int
    let trigger: Trigger
    /// Every tick gets its job: what is measured is the cost of a tick, not of one that is skipped.
    private static let policy = SchedulePolicy(overlap: .allow(max: 1000))

    /// Makes them: the first as an application does, the others from what became of it, five hundred in one call.
    func put(in store: any JobStore) async throws {
        let job = NoOp(number: 0)
        let first = try await Scheduler(store: store)
            .put("bench-0", trigger, policy: Self.policy, job: job)
        for start in stride(from: 1, to: count, by: 500) {
            let changes = (start..<min(start + 500, count))
                .map { number in
                    let id = ScheduleID("bench-\(number)")
                    var record = ScheduleRecord(
                        id: id,
                        source: .dynamic,
                        definition: first.definition,
                        hash: first.hash,
                        at: first.createdAt
                    )
                    (record.next, record.dueAt) = (first.next, first.dueAt)
                    return ScheduleChange(id: id, expected: 0, record: record)
                }
            let answers = try await store.changeSchedules(changes)
            guard answers.allSatisfy({ $0 != .stale }) else { throw VoidFigure("a schedule could not be made") }
        }
    }
}
