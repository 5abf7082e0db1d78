// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// How many schedules one look reads.
    private static let schedulesPerLook = 100

    /// Reads schedules; see ``/ErrandCore/JobStore/schedules(_:)``.
    ///
    /// One that cannot be read is left out, unless it is asked for alone: then the call throws `corrupt`.
    public func schedules(_ request: ScheduleRequest) async throws -> ScheduleAnswer {
        try await perform { () throws(StoreError) in
            let found: ScheduleLook
            switch request {
            case .due(let limit, let mark):
                let start = mark.map { (due: RedisScheduleWriter.score($0.dueAt), id: $0.id.rawValue) }
                found = try await walk(limit, after: start) { width, last, command in
                    command.append("due")
                    command.append(width)
                    command.append(ScheduleRecord.clockTolerance.wholeMicroseconds)
                    guard let last else { return }
                    command.append(last.due)
                    command.append(last.id)
                }
            case .page(let last, let limit):
                let start = last.map { (due: "", id: $0.rawValue) }
                found = try await walk(limit, after: start) { width, last, command in
                    command.append("page")
                    command.append(width)
                    if let last { command.append(last.id) }
                }
            case .ids(let ids):
                found = try await look(at: ids)
            }
            return ScheduleAnswer(at: found.now, schedules: try await standings(of: found), nextDue: found.nextDue)
        }
    }

    /// Looks until there are as many as wanted or there are no more; those that cannot be read do not count.
    private func walk(
        _ limit: Int,
        after start: (due: String, id: String)?,
        _ arguments: (Int, (due: String, id: String)?, inout RedisCommand) -> Void
    ) async throws(StoreError) -> ScheduleLook {
        let limit = max(limit, 0)
        var last = start
        var all: ScheduleLook?
        while true {
            let width = min(limit - (all?.records.count ?? 0), Self.schedulesPerLook)
            let answer = try await run(RedisScripts.schedules, writes: false) { arguments(width, last, &$0) }
            let look = try ScheduleLook(answer)
            all?.records += look.records
            if all == nil { all = look }
            last = look.last ?? last
            if let all, look.count < width || all.records.count >= limit { return all }
        }
    }

    private func look(at ids: [ScheduleID]) async throws(StoreError) -> ScheduleLook {
        let bites = ids.isEmpty ? [[]] : ids.bites(of: Self.schedulesPerLook)
        var all: ScheduleLook?
        for bite in bites {
            let answer = try await run(RedisScripts.schedules, writes: false) { command in
                command.append("ids")
                for id in bite { command.append(id.rawValue) }
            }
            let look = try ScheduleLook(answer)
            if ids.count == 1, let problem = look.problems.first { throw problem }
            all?.records += look.records
            if all == nil { all = look }
        }
        guard let all else { throw StoreError.oddAnswer }
        return all
    }

    /// Puts beside each schedule where the jobs stand that it may wait for: all of them are read together.
    private func standings(of look: ScheduleLook) async throws(StoreError) -> [ScheduleStanding] {
        let ids = Set(look.records.flatMap(\.unfinished).map(\.id))
        var ends: [JobID: ScheduleStanding.JobEnd] = [:]
        for read in ids.isEmpty ? [] : try await read(Array(ids), parts: []).jobs {
            // One that cannot be read does not run either: nobody has to wait for it.
            guard case .success(let job)? = read.job else { continue }
            ends[read.id] = .init(state: job.record.state, finishedAt: job.record.finishedAt)
        }
        return look.records.map { record in
            var standing = ScheduleStanding(record: record)
            for job in record.unfinished { standing.jobs[job.id] = ends[job.id] }
            return standing
        }
    }
}

/// What one look at schedules found.
private struct ScheduleLook {
    let now: Timestamp
    let nextDue: Timestamp?
    var records: [ScheduleRecord] = []
    /// Of those that cannot be read.
    private(set) var problems: [StoreError] = []
    /// How many there were, those that cannot be read among them.
    let count: Int
    /// The last of them, and when it is due.
    private(set) var last: (due: String, id: String)?

    init(_ answer: [RESPValue]) throws(StoreError) {
        guard answer.count >= 2, (answer.count - 2).isMultiple(of: 3) else { throw StoreError.oddAnswer }
        now = try RedisStore.instant(answer[0])
        nextDue = answer[1].integer.map { Timestamp(microseconds: $0) }
        count = (answer.count - 2) / 3
        let json = ScheduleJSON()
        for index in stride(from: 2, to: answer.count, by: 3) {
            guard let id = answer[index].text, let due = answer[index + 1].text else { throw StoreError.oddAnswer }
            last = (due, id)
            guard let body = answer[index + 2].buffer else { continue }
            do throws(StoreError) {
                records.append(try json.value(in: body, "the schedule '\(id)'"))
            } catch {
                problems.append(error)
            }
        }
    }
}
