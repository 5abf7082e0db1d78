// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore

extension PostgresStore {
    public func schedules(_ request: ScheduleRequest) async throws -> ScheduleAnswer {
        try await read { session in try session.schedules(request) }
    }
}

extension PostgresSession {
    func schedules(_ request: ScheduleRequest) throws -> ScheduleAnswer {
        var nextDue: Timestamp?
        let records: [ScheduleRecord]
        switch request {
        case .due(let limit, let mark): (records, nextDue) = try dueSchedules(limit: max(limit, 0), after: mark)
        case .ids(let ids): records = try schedules(ids)
        case .page(let last, let limit): records = try schedules(after: last, limit: max(limit, 0))
        }
        let ends = try ends(of: records.flatMap { $0.unfinished.map(\.id) })
        let standings = records.map { record in
            let jobs = record.unfinished.compactMap { job in ends[job.id].map { (job.id, $0) } }
            return ScheduleStanding(record: record, jobs: Dictionary(jobs) { first, _ in first })
        }
        return ScheduleAnswer(at: now, schedules: standings, nextDue: nextDue)
    }

    private func dueSchedules(
        limit: Int,
        after start: ScheduleMark?
    ) throws -> (records: [ScheduleRecord], next: Timestamp?) {
        var mark = start
        var records: [ScheduleRecord] = []
        while true {
            let wanted = limit - records.count
            let edge = now + ScheduleRecord.clockTolerance
            let found = try query(
                .dueSchedules,
                [
                    .int(now.microseconds), .int(mark?.dueAt.microseconds ?? .min), .text(mark?.id.rawValue ?? ""),
                    .int(Int64(wanted)), .int(edge.microseconds),
                ]
            )
            records += readSchedules(found, from: 2)
            // One row without a schedule says when the next one is due.
            let last = found.count - 1
            guard records.count < limit, found.count == wanted, !found.isNull(last, 2) else {
                return (records, found.optionalInstant(0, 0))
            }
            // Some could not be read, and there are others behind them.
            mark = ScheduleMark(dueAt: found.instant(last, 1), id: ScheduleID(found.text(last, 2)))
        }
    }

    /// - Throws: `corrupt` for the one schedule that is asked for; of several the others are answered.
    private func schedules(_ ids: [ScheduleID]) throws -> [ScheduleRecord] {
        // A name with NUL, which a text cannot hold, is the name of none.
        let names = ids.map(\.rawValue).filter { !$0.utf8.contains(0) }
        let found = try query(.schedules, [.texts(names)])
        if let id = ids.first, ids.count == 1 {
            return found.count == 0 ? [] : [try ScheduleRecord(id, body: found.text(0, 1))]
        }
        let records = Dictionary(readSchedules(found).map { ($0.id, $0) }) { first, _ in first }
        return ids.compactMap { records[$0] }
    }

    private func schedules(after start: ScheduleID?, limit: Int) throws -> [ScheduleRecord] {
        var last = start?.rawValue ?? ""
        var records: [ScheduleRecord] = []
        while true {
            let wanted = limit - records.count
            let found = try query(.schedulesAfter, [.text(last), .int(Int64(wanted))])
            records += readSchedules(found)
            guard records.count < limit, found.count == wanted else { return records }
            last = found.text(found.count - 1, 0)
        }
    }

    private func ends(of jobs: [JobID]) throws -> [JobID: ScheduleStanding.JobEnd] {
        guard !jobs.isEmpty else { return [:] }
        let found = try query(.endsOfJobs, [.uuids(jobs)])
        let ends = (0..<found.count)
            .compactMap { row -> (JobID, ScheduleStanding.JobEnd)? in
                guard let id = found.id(row, 0), let state = JobState(rawValue: found.int(row, 1)) else { return nil }
                return (id, ScheduleStanding.JobEnd(state: state, finishedAt: found.optionalInstant(row, 2)))
            }
        return Dictionary(ends) { first, _ in first }
    }
}
