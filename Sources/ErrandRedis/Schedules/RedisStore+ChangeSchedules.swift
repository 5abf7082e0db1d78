// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

public import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// How many schedules one script changes.
    private static let changesPerScript = 100

    /// Changes schedules; see ``/ErrandCore/JobStore/changeSchedules(_:)``.
    ///
    /// A hundred changes share one script, which stores them with their jobs, their unique keys included, or not at all.
    public func changeSchedules(_ changes: [ScheduleChange]) async throws -> [ScheduleChangeAnswer] {
        try await perform { () throws(StoreError) in
            let json = ScheduleJSON()
            var prepared: [RedisScheduleChange] = []
            for change in changes { prepared.append(try RedisScheduleChange(change, json)) }
            var answers: [ScheduleChangeAnswer] = []
            for bite in bites(of: prepared) { answers += try await apply(bite, json) }
            return answers
        }
    }

    /// Decides on a few changes and writes all that hold in one act. When anything that they were decided from is not so
    /// any more, nothing was written and all of them are decided anew: what another process was faster with is stale then.
    private func apply(
        _ changes: ArraySlice<RedisScheduleChange>,
        _ json: ScheduleJSON
    ) async throws(StoreError) -> [ScheduleChangeAnswer] {
        let jobs = changes.flatMap { $0.change.entries.compactMap(\.job) }
        let keys = jobs.compactMap(\.unique?.key)
        let decided = try await decide(
            jobs.map(\.id),
            keys: keys,
            fields: Set(changes.flatMap(\.fields)),
            withPayload: !keys.isEmpty
        ) { table throws(Missing) -> Result<[ScheduleChangeAnswer], StoreError> in
            var changed = table
            var writer = RedisScheduleWriter()
            var answers: [ScheduleChangeAnswer] = []
            for change in changes { answers.append(try changed.apply(change, &writer)) }
            do throws(StoreError) {
                changed.extras += try writer.writes(json)
            } catch {
                return .failure(error)
            }
            table = changed
            return .success(answers)
        }
        return try decided.get()
    }

    /// The changes that share a script: of a schedule at most one, because a second one has to see what became of the first.
    private func bites(of changes: [RedisScheduleChange]) -> [ArraySlice<RedisScheduleChange>] {
        var bites: [ArraySlice<RedisScheduleChange>] = []
        var start = 0
        var (entries, bytes, seen) = (0, 0, Set<ScheduleID>())
        for (index, prepared) in changes.enumerated() {
            let count = prepared.change.entries.count
            let isFull =
                index - start >= Self.changesPerScript || entries + count > configuration.jobsPerScript
                || bytes + prepared.size > configuration.bytesPerScript
            if index > start, isFull || seen.contains(prepared.change.id) {
                bites.append(changes[start..<index])
                start = index
                (entries, bytes, seen) = (0, 0, [])
            }
            entries += count
            bytes += prepared.size
            seen.insert(prepared.change.id)
        }
        if start < changes.count { bites.append(changes[start...]) }
        return bites
    }
}
