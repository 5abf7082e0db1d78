// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Logging

/// Writes batches of settlements and does not give up while the worker lives: results of finished jobs stay in
/// memory over a store outage and are written, conditionally, when it is back.
struct SettleWriter: Sendable {
    let store: any JobStore
    let clock: any ErrandClock
    let logger: Logger
    /// True once the worker has to exit; then one more failure ends the tries.
    let mustExit: @Sendable () -> Bool

    /// Answers one for one; a repeat after a lost answer may say `leaseLost` for what held.
    func write(_ settlements: [Settlement]) async throws -> [SettleAnswer] {
        var wait: Duration = .milliseconds(100)
        while true {
            do {
                return try await store.settle(settlements)
            } catch let error as StoreError where error.isTransient && !mustExit() {
                logger.warning(
                    "settling is delayed: the store cannot be written",
                    metadata: [LogKeys.count: "\(settlements.count)", LogKeys.error: "\(error)"]
                )
                try? await clock.sleep(for: wait)
                wait = min(wait * 2, .seconds(5))
            }
        }
    }
}
