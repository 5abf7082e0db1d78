// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A local pattern in a zone: the instants at which it fires, in seconds since 1970.
struct ZonedPattern: Sendable, Hashable {
    let pattern: LocalPattern
    let zone: ZoneRules
    /// Whether the times of day are fixed, so that `changes` counts; otherwise the pattern is matched literally.
    let isFixed: Bool
    let changes: ClockChanges

    /// No offset is further from UTC than this, and no change greater: a bound for looking around.
    private static let reach: Int64 = 27 * 3600

    /// The first instant after this one.
    func next(after second: Int64) -> Int64? {
        guard isFixed else { return literal(after: second) }
        switch changes.overlap {
        case .first: return fixed(after: second)
        case .both: return earlier(fixed(after: second), literal(after: second))
        case .secondOnly:
            var from = second
            while true {
                let match = literal(after: from)
                guard let next = earlier(fixed(after: from), match) else { return nil }
                guard next == match, laterPass(of: next) != nil else { return next }
                from = next
            }
        }
    }

    private func earlier(_ one: Int64?, _ other: Int64?) -> Int64? {
        guard let one, let other else { return one ?? other }
        return min(one, other)
    }

    /// The first instant after this one at which the wall clock reaches a local time of the pattern that it had not
    /// reached before: in a gap that is the gap's end, in an overlap the first pass.
    private func fixed(after second: Int64) -> Int64? {
        var reached = second + zone.stretch(at: second).offset
        var stretch = zone.stretch(at: second)
        while stretch.start != .min, second - stretch.start < Self.reach {
            stretch = zone.stretch(at: stretch.start - 1)
            reached = max(reached, stretch.end - 1 + stretch.offset)
        }
        while let local = pattern.next(atOrAfter: reached + 1) {
            var stretch = zone.stretch(at: max(second, local - Self.reach))
            while stretch.end != .max, local - stretch.offset >= stretch.end { stretch = zone.stretch(at: stretch.end) }
            let instant = local - stretch.offset
            if instant >= stretch.start { return instant }
            if changes.gap == .move { return stretch.start }
            reached = stretch.localStart - 1
        }
        return nil
    }

    /// The first instant after this one whose local time is in the pattern.
    private func literal(after second: Int64) -> Int64? {
        var stretch = zone.stretch(at: second + 1)
        var local = second + 1 + stretch.offset
        while true {
            let match = pattern.next(atOrAfter: local)
            if let match, match - stretch.offset < stretch.end { return match - stretch.offset }
            guard stretch.end != .max else { return nil }
            let following = zone.stretch(at: stretch.end)
            if following.localStart >= local {
                // Nothing matches from `local` to `match`, so the stretches between need no look.
                guard let match else { return nil }
                stretch = zone.stretch(at: max(stretch.end, match - Self.reach))
                local = max(stretch.localStart, local)
            } else {
                (stretch, local) = (following, following.localStart)
            }
        }
    }

    /// The instant at which the clock shows the local time of this one again.
    func laterPass(of second: Int64) -> Int64? {
        var stretch = zone.stretch(at: second)
        let local = second + stretch.offset
        while stretch.end != .max, stretch.end - second < Self.reach {
            stretch = zone.stretch(at: stretch.end)
            let again = local - stretch.offset
            if again >= stretch.start, again < stretch.end { return again }
        }
        return nil
    }

    /// The instant at which the clock had shown the local time of this one before.
    func earlierPass(of second: Int64) -> Int64? {
        var stretch = zone.stretch(at: second)
        let local = second + stretch.offset
        while stretch.start != .min, second - stretch.start < Self.reach {
            stretch = zone.stretch(at: stretch.start - 1)
            let before = local - stretch.offset
            if before >= stretch.start, before < stretch.end { return before }
        }
        return nil
    }
}
