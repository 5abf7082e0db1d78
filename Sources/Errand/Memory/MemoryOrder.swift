// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import DequeModule
import HeapModule

/// Rows in the order of a number, with removal by mark.
///
/// Rows mostly arrive in order, so they go to the end of a run, which costs the same at any length; the few that
/// do not go to a heap. A row that leaves raises its stamp and its entry is dropped when it surfaces, or when
/// stale entries are the majority.
struct MemoryOrder {
    /// Which of a row's stamps counts here.
    enum Kind {
        case place
        case expiry
        case hold
        case result
    }

    struct Entry: Comparable {
        let key: Int64
        let sequence: Int
        let stamp: UInt32
        let row: MemoryRow

        static func < (lhs: Entry, rhs: Entry) -> Bool {
            lhs.key != rhs.key ? lhs.key < rhs.key : lhs.sequence < rhs.sequence
        }

        static func == (lhs: Entry, rhs: Entry) -> Bool {
            lhs.key == rhs.key && lhs.sequence == rhs.sequence
        }
    }

    let kind: Kind
    /// How many rows are in it.
    private(set) var live = 0
    private var run: Deque<Entry> = []
    private var rest: Heap<Entry> = []

    init(_ kind: Kind) {
        self.kind = kind
    }

    mutating func add(_ row: MemoryRow, key: Int64) {
        let entry = Entry(key: key, sequence: row.sequence, stamp: stamp(of: row), row: row)
        live += 1
        if let last = run.last, entry < last {
            rest.insert(entry)
        } else {
            run.append(entry)
        }
        if run.count + rest.count > 2 * live + 64 { dropStale() }
    }

    /// The row leaves; it must be in.
    mutating func remove(_ row: MemoryRow) {
        live -= 1
        switch kind {
        case .place: row.placeStamp &+= 1
        case .expiry: row.expiryStamp &+= 1
        case .hold: row.holdStamp &+= 1
        case .result: row.resultStamp &+= 1
        }
    }

    /// The first row, which stays in.
    mutating func first() -> Entry? {
        while let head = run.first, head.stamp != stamp(of: head.row) { run.removeFirst() }
        while let head = rest.min, head.stamp != stamp(of: head.row) { rest.removeMin() }
        guard let early = rest.min else { return run.first }
        guard let head = run.first else { return early }
        return early < head ? early : head
    }

    private mutating func dropStale() {
        run = Deque(run.filter { $0.stamp == stamp(of: $0.row) })
        rest = Heap(rest.unordered.filter { $0.stamp == stamp(of: $0.row) })
    }

    private func stamp(of row: MemoryRow) -> UInt32 {
        switch kind {
        case .place: row.placeStamp
        case .expiry: row.expiryStamp
        case .hold: row.holdStamp
        case .result: row.resultStamp
        }
    }
}
