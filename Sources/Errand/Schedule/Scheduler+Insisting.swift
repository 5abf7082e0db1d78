// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension Scheduler {
    /// What somebody wants of a schedule as it stands.
    enum Wish {
        /// This, with whatever is due decided before; a plan that is cut short is written and the wish made again.
        case plan(TickPlan, AuditEntry?)
        /// This.
        case change(ScheduleChange)
        /// Nothing: it is like that.
        case keep(ScheduleRecord)
    }

    /// How often a change is tried anew because the schedule changed in between. Each time somebody else got on.
    private static let patience = 200

    /// Changes a schedule, anew while others change it.
    /// - Returns: The rows that were stored and the schedule; `nil` when the wish was `nil`.
    /// - Throws: What the wish threw, ``/ErrandCore/StoreError``.
    func insist(
        on id: ScheduleID,
        _ wish: (ScheduleStanding?, Timestamp) async throws -> Wish?
    ) async throws -> (rows: [TickRecord?], record: ScheduleRecord?)? {
        for _ in 0..<Self.patience {
            let answer = try await store.schedules(.ids([id]))
            var change: ScheduleChange
            var plan: TickPlan?
            switch try await wish(answer.schedules.first, answer.at) {
            case nil: return nil
            case .keep(let record): return ([], record)
            case .change(let wanted): change = wanted
            case .plan(let wanted, let line):
                change = wanted.change
                plan = wanted
                change.wakesSchedulers = true
                if !wanted.isCutShort { change.audit = line }
            }
            guard case .stored(let rows)? = try await store.changeSchedules([change]).first else { continue }
            if let plan { tell(plan, rows.compactMap { $0 }) }
            if plan?.isCutShort ?? false { continue }
            return (rows, change.record)
        }
        throw StoreError(.conflict, "schedule \(id) changes all the time; try again")
    }

    /// The same for a wish that is always there.
    func insisting(
        on id: ScheduleID,
        _ wish: (ScheduleStanding?, Timestamp) async throws -> Wish
    ) async throws -> ScheduleRecord {
        guard let record = try await insist(on: id, wish)?.record else {
            throw ErrandError(.scheduleNotFound, "there is no schedule \(id); list them to see the names")
        }
        return record
    }
}
