// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Logging

/// Writes batches of settlements and does not give up while the worker lives: results of finished jobs stay in
/// memory over a store outage and are written, conditionally, when it is back.
struct SettleWriter: Sendable {
    /// What became of one settlement.
    enum Result: Sendable {
        /// It held; the job is now in this state.
        case applied(JobState)
        /// The lease is old; nothing was written.
        case leaseLost
        /// Refused as `leaseLost`, after an earlier try whose answer was lost: most likely that one held.
        case presumed
        /// The store cannot write this one, however often it is tried, or the worker has to exit first.
        case failed(StoreError)
    }

    let store: any JobStore
    let clock: any ErrandClock
    let logger: Logger
    /// True once the worker has to exit; then one more failure ends the tries.
    let mustExit: @Sendable () -> Bool

    /// The results, one for one. One settlement that cannot be stored does not take the others with it.
    func write(_ settlements: [Settlement]) async -> [Result] {
        do {
            return try await writeAll(settlements)
        } catch {
            guard settlements.count > 1, !error.isTransient else {
                return settlements.map { _ in .failed(error) }
            }
        }
        var results: [Result] = []
        for settlement in settlements {
            do {
                results += try await writeAll([settlement])
            } catch {
                results.append(.failed(error))
            }
        }
        return results
    }

    /// Tries until the store answers or says that trying again is no use.
    private func writeAll(_ settlements: [Settlement]) async throws(StoreError) -> [Result] {
        var wait: Duration = .milliseconds(100)
        var (isDelayed, mayHaveHeld) = (false, false)
        while true {
            do {
                let answers = try await store.settle(settlements)
                if isDelayed { logger.notice("settling goes on", metadata: [LogKeys.count: "\(settlements.count)"]) }
                return answers.map { answer in
                    switch answer {
                    case .applied(let state): .applied(state)
                    case .leaseLost: mayHaveHeld ? .presumed : .leaseLost
                    case .refused(let error): .failed(error)
                    }
                }
            } catch {
                let error = error as? StoreError ?? StoreError(.unavailable, "the store failed", cause: error)
                guard error.isTransient, !mustExit() else { throw error }
                if error.code == .outcomeUnknown { mayHaveHeld = true }
                if !isDelayed {
                    logger.warning(
                        "settling is delayed: the store cannot be written",
                        metadata: [LogKeys.count: "\(settlements.count)", LogKeys.error: "\(error)"]
                    )
                }
                isDelayed = true
                await clock.wait(for: wait)
                wait = min(wait * 2, .seconds(5))
            }
        }
    }
}
