// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Decisions that a schedule already has where its next ones may fall: after a backfill that ran ahead, or when the
/// clock was set back.
package struct KnownTicks: Sendable, Hashable {
    private var single: [TickKey: TickRecord] = [:]
    private var ranges: [ClosedRange<Timestamp>] = []

    /// None.
    package init() {}

    /// These rows.
    package init(_ rows: [TickRecord]) {
        for row in rows {
            if row.through > row.nominal { ranges.append(row.nominal...row.through) } else { single[row.key] = row }
        }
    }

    package var isEmpty: Bool { single.isEmpty && ranges.isEmpty }

    /// Whether the tick has its decision.
    package func isDecided(_ nominal: Timestamp) -> Bool {
        single[.tick(nominal)] != nil || ranges.contains { $0.contains(nominal) }
    }

    /// The row under a key.
    package subscript(key: TickKey) -> TickRecord? { single[key] }
}

extension ScheduleRecord {
    /// The span of nominal times whose rows a planner must know before it decides at `now`; `nil` for none, which is
    /// nearly always.
    package func spanToKnow(at now: Timestamp) -> ClosedRange<Timestamp>? {
        let start = cursor > now + Self.clockTolerance ? now : cursor
        return decidedThrough > start && decidedThrough > createdAt ? start...decidedThrough : nil
    }
}
