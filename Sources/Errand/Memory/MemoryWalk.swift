// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// A walk over the rows that a filter means, newest id first, that looks at a limited number of rows.
struct MemoryWalk {
    private let filter: JobFilter
    private let scanLimit: Int
    private var ids: ArraySlice<JobID> = []
    private var hasMore = true
    private var scanned = 0
    /// The last row that was looked at, or where the walk began.
    private(set) var last: JobID?
    /// Whether the walk stopped at its limit although rows are left.
    private(set) var isBounded = false

    init(_ filter: JobFilter, after start: JobID?, scanLimit: Int) {
        self.filter = filter
        self.scanLimit = scanLimit
        last = start
        guard !filter.ids.isEmpty else { return }
        ids = filter.ids.filter { id in start.map { id < $0 } ?? true }.sorted(by: >)[...]
        hasMore = false
    }

    mutating func next(in table: inout MemoryTable) -> MemoryRow? {
        while true {
            if ids.isEmpty {
                guard hasMore else { return nil }
                // A bite at a time, so that a short page copies few ids.
                ids = Array(table.index.below(last).prefix(1024))[...]
                hasMore = !ids.isEmpty
                continue
            }
            if scanned == scanLimit {
                isBounded = true
                return nil
            }
            guard let id = ids.popFirst() else { return nil }
            last = id
            guard let row = table.rows[id] else { continue }
            scanned += 1
            if filter.matches(row.record) { return row }
        }
    }
}
