// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// A walk over the jobs that a filter means, newest id first, that looks at a limited number of rows, a piece at a time.
struct RedisWalk {
    private let store: RedisStore
    private let filter: JobFilter
    private let parts: JobParts
    private let scanLimit: Int
    /// The set that is walked: all ids, those of failed jobs, or those of a tag.
    private let set: String
    private var ids: [JobID]?
    private var rows: ArraySlice<ReadJob> = []
    private var hasMore = true
    private var scanned = 0
    /// The last row that was looked at, or where the walk began.
    private(set) var last: JobID?
    /// Whether the walk stopped at its limit although rows are left.
    private(set) var isBounded = false

    private static let bite = 250

    init(_ filter: JobFilter, after start: JobID?, scanLimit: Int, withPayload: Bool = false, in store: RedisStore) {
        self.store = store
        self.filter = filter
        self.scanLimit = scanLimit
        parts = filter.text != nil || withPayload ? .payload : []
        last = start
        if let tag = filter.tags.min() {
            set = "t:" + tag
        } else {
            set = filter.states == [.failed] ? "f" : "i"
        }
        if !filter.ids.isEmpty {
            ids = filter.ids.filter { id in start.map { id < $0 } ?? true }.sorted()
        }
    }

    /// The next job that is meant.
    mutating func next() async throws(StoreError) -> JobRecord? {
        while true {
            if rows.isEmpty {
                guard hasMore else { return nil }
                try await look()
                continue
            }
            if ids == nil, scanned == scanLimit {
                isBounded = true
                return nil
            }
            guard let row = rows.popFirst() else { return nil }
            last = row.id
            // One that is gone since, or that this build cannot read.
            guard case .success(let job)? = row.job else { continue }
            scanned += 1
            if filter.matches(job.record) { return job.record }
        }
    }

    private mutating func look() async throws(StoreError) {
        if ids != nil {
            let some = Array((ids ?? []).suffix(Self.bite).reversed())
            ids?.removeLast(some.count)
            rows = some.isEmpty ? [] : try await store.read(some, parts: parts).jobs[...]
            hasMore = ids?.isEmpty == false
            return
        }
        // One more than the limit, so that a walk that ends exactly there knows whether rows are left.
        let wanted = min(parts.isEmpty ? Self.bite : 50, max(scanLimit - scanned + 1, 1))
        let found = try await store.scan(set, after: rows.last?.id ?? last, count: wanted, parts: parts).jobs
        rows = found[...]
        hasMore = found.count == wanted
    }
}
