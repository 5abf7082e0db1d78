// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// All ids, newest first, for lists.
///
/// New ids are only noted; they are sorted in when somebody looks.
struct MemoryIndex {
    private var sorted: [JobID] = []
    private var fresh: [JobID] = []
    private var removed = 0

    mutating func add(_ id: JobID) {
        fresh.append(id)
    }

    /// Notes that an id is gone; `isStored` says which are left when it is time to tidy up.
    mutating func remove(_ id: JobID, isStored: (JobID) -> Bool) {
        removed += 1
        guard removed > 1024, removed * 2 > sorted.count + fresh.count else { return }
        sorted.removeAll { !isStored($0) }
        fresh.removeAll { !isStored($0) }
        removed = 0
    }

    /// The ids older than `id`, newest first; some may be gone.
    mutating func below(_ id: JobID?) -> ReversedCollection<ArraySlice<JobID>> {
        merge()
        guard let id else { return sorted[...].reversed() }
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < id { low = middle + 1 } else { high = middle }
        }
        return sorted[..<low].reversed()
    }

    private mutating func merge() {
        guard !fresh.isEmpty else { return }
        fresh.sort()
        if let last = sorted.last, let first = fresh.first, first <= last {
            // An id that was deleted and stored again is in both.
            var merged: [JobID] = []
            merged.reserveCapacity(sorted.count + fresh.count)
            var rest = sorted[...]
            for id in fresh {
                while let next = rest.first, next < id {
                    merged.append(next)
                    rest.removeFirst()
                }
                if rest.first == id { rest.removeFirst() }
                if merged.last != id { merged.append(id) }
            }
            merged.append(contentsOf: rest)
            sorted = merged
        } else {
            for id in fresh where id != sorted.last { sorted.append(id) }
        }
        fresh.removeAll(keepingCapacity: true)
    }
}
