// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

package import ErrandCore

/// Everything that can be seen of a store, for a comparison.
package struct StoreContents: Sendable, Equatable {
    /// Every job with all its parts, newest id first.
    package var jobs: [JobRecord]
    package var counts: [JobCount]
    package var oldestReady: [QueueName: Timestamp]
    package var pauses: [Pause]
    package var audit: [AuditEntry]
    package var series: [SeriesPoint]

    /// Reads all of a store, page by page.
    package init(of store: any JobStore) async throws {
        jobs = []
        var after: JobID?
        repeat {
            let page = try await store.list(JobFilter(), page: JobPageRequest(after: after, limit: 500))
            jobs += try await store.jobs(page.jobs.map(\.id), parts: .all)
            after = page.next
        } while after != nil
        let counts = try await store.counts()
        self.counts = counts.rows.sorted { ($0.queue, $0.name, $0.state) < ($1.queue, $1.name, $1.state) }
        oldestReady = counts.oldestReady
        pauses = try await store.pauses()
        audit = try await store.audit(limit: 10_000)
        series = try await store.series(SeriesRequest(from: .epoch, before: .distantFuture))
            .sorted {
                ($0.minute, $0.queue, $0.name, $0.metric.rawValue, $0.bucket)
                    < ($1.minute, $1.queue, $1.name, $1.metric.rawValue, $1.bucket)
            }
    }

    /// What is different, in a few words each; empty when nothing is.
    package func differences(from other: StoreContents) -> [String] {
        var found: [String] = []
        let others = Dictionary(uniqueKeysWithValues: other.jobs.map { ($0.id, $0) })
        for job in jobs where others[job.id] != job {
            found.append("job \(job.id): \(job) became \(others[job.id].map { "\($0)" } ?? "nothing")")
        }
        let known = Set(jobs.map(\.id))
        for job in other.jobs where !known.contains(job.id) { found.append("job \(job.id) came from nowhere") }
        if jobs.map(\.id) != other.jobs.map(\.id) { found.append("the list has another order") }
        if counts != other.counts { found.append("counts \(counts) became \(other.counts)") }
        if oldestReady != other.oldestReady { found.append("oldest \(oldestReady) became \(other.oldestReady)") }
        if pauses != other.pauses { found.append("pauses \(pauses) became \(other.pauses)") }
        if audit != other.audit { found.append("audit \(audit) became \(other.audit)") }
        if series != other.series { found.append("series \(series) became \(other.series)") }
        return found
    }
}
