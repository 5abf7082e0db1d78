// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import RedisWire

extension RedisStore {
    /// Deletes decisions that were made up to then, and schedules that have been complete or retired since then, as many as
    /// one bite of maintenance.
    func forget(before end: Timestamp) async throws(StoreError) -> (count: Int, hasMore: Bool) {
        var (count, hasMore) = (0, true)
        while hasMore, count < Self.bite {
            let answer = try await run(RedisScripts.forget) { command in
                command.append(250)
                command.append(RedisScheduleWriter.score(end))
            }
            guard answer.count == 2, let deleted = answer[0].integer else { throw StoreError.oddAnswer }
            count += Int(deleted)
            hasMore = answer[1].integer == 1
        }
        return (count, hasMore)
    }
}
