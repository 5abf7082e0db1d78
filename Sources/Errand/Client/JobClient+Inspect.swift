// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension JobClient {
    /// One job; `nil` when it is not in the store.
    public func job(_ id: JobID, parts: JobParts = []) async throws -> JobRecord? {
        try await store.jobs([id], parts: parts).first
    }

    /// A page of jobs, newest first.
    public func jobs(
        _ filter: JobFilter = JobFilter(),
        page: JobPageRequest = JobPageRequest()
    ) async throws -> JobPage {
        try await store.list(filter, page: page)
    }

    /// How many jobs a filter means, counted up to `limit`.
    public func count(
        _ filter: JobFilter,
        limit: Int = BoundedCount.defaultLimit
    ) async throws -> BoundedCount {
        try await store.count(filter, limit: limit)
    }

    /// How many jobs there are by queue, name and state.
    public func counts() async throws -> JobCounts {
        try await store.counts()
    }

    func missing(_ id: JobID) -> ErrandError {
        ErrandError(.jobNotFound, "job \(id) is not in the store; it was deleted, pruned, or never committed")
    }

    /// Waits for the end of a job: woken by the signal of this process or the hint that another one wrote, and
    /// looking by itself now and then because signals may be lost.
    func waitForEnd(of id: JobID, timeout: Duration) async throws -> JobRecord {
        let wakeUp = WakeUp()
        let watch = store.hub.watch(id)
        let subscription = store.hub.subscribe { signal in
            switch signal {
            case .finished(let ids) where ids.contains(id): wakeUp.signal()
            case .elsewhere: wakeUp.signal()
            case .finished, .work, .cancelled, .controls: break
            }
        }
        defer {
            watch.cancel()
            subscription.cancel()
        }
        let giveUpAt = clock.uptime + timeout
        while true {
            guard let record = try await job(id, parts: .result) else { throw missing(id) }
            if record.state.isFinal { return record }
            let left = giveUpAt - clock.uptime
            guard left > .zero else {
                throw ErrandError(.timedOut, "job \(id) is still \(record.state.word) after \(timeout.inSeconds) s")
            }
            await wakeUp.wait(upTo: min(left, configuration.pollInterval), on: clock)
            try Task.checkCancellation()
        }
    }
}
