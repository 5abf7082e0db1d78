// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Decisions that a schedule already has where its next ones may fall: after a backfill that ran ahead, or when the
/// clock was set back.
///
/// A tick whose job ran is not run again. One that had none is decided anew: it was skipped or coalesced by a clock that
/// was wrong, and the schedule would otherwise be silent until the time that clock showed.
package struct KnownTicks: Sendable, Hashable {
    private var rows: [TickKey: TickRecord] = [:]

    /// None.
    package init() {}

    /// These rows.
    package init(_ rows: [TickRecord]) {
        for row in rows where row.through == row.nominal { self.rows[row.key] = row }
    }

    /// Whether a job did or will do the tick's work.
    package func isRun(_ nominal: Timestamp) -> Bool { rows[.tick(nominal)]?.decision.isRun ?? false }

    /// The row under a key.
    package subscript(key: TickKey) -> TickRecord? { rows[key] }
}

extension ScheduleRecord {
    /// The span of nominal times whose rows a planner must know before it decides at `now`; `nil` for none, which is
    /// nearly always.
    package func spanToKnow(at now: Timestamp) -> ClosedRange<Timestamp>? {
        let isAhead = cursor > now + Self.clockTolerance
        guard !isAhead, cursor < now, decidedThrough > cursor, decidedThrough > createdAt else { return nil }
        return cursor...min(decidedThrough, now)
    }
}
