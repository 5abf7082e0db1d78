// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Writes batches of new jobs: offers them to a local worker with free slots, and tries again while the store is
/// in trouble.
struct EnqueueWriter: Sendable {
    let store: any JobStore
    let clock: any ErrandClock
    let retryFor: Duration

    func write(_ jobs: [NewJob]) async throws -> [InsertAnswer] {
        let giveUpAt = clock.uptime + retryFor
        var wait: Duration = .milliseconds(50)
        while true {
            do {
                return try await offerAndInsert(jobs)
            } catch let error as StoreError where error.isTransient && clock.uptime + wait <= giveUpAt {
                // Whoever leads writes for others too, so its own cancellation must not end this.
                await clock.wait(for: wait)
                wait = min(wait * 2, .seconds(1))
            }
        }
    }

    /// One write. The offer ends with what the insert claimed, also when that is nothing because it failed.
    private func offerAndInsert(_ jobs: [NewJob]) async throws -> [InsertAnswer] {
        guard let (offer, source) = store.hub.takeOffer(for: jobs) else {
            return try await store.insert(jobs, offer: nil)
        }
        do {
            let answers = try await store.insert(jobs, offer: offer)
            source.deliver(offer, answers.compactMap { if case .claimed(let job) = $0 { job } else { nil } })
            return answers
        } catch {
            source.deliver(offer, [])
            throw error
        }
    }
}
