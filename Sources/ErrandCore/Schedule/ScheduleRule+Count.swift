// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension ScheduleRule {
    /// How many nominal times lie after `lower` and not after `upper`, for a scheduler that was away.
    ///
    /// Plain intervals are counted at once, however many there are. Other rules are asked time after time, at most
    /// `limit` times; then `isCapped` says that there are more, and `last` is the newest of those counted. A rule with a
    /// ``delayAfterCompletion`` has at most one: what follows a run that ended at `lower`.
    package func count(
        after lower: Timestamp,
        through upper: Timestamp,
        limit: Int = 100_000
    ) -> (count: Int, last: Timestamp?, isCapped: Bool) {
        guard let first = next(after: lower), first <= upper else { return (0, nil, false) }
        if case .interval(let seconds, _) = base, bounds.excluded.isEmpty {
            return counted(from: first, through: min(upper, bounds.end ?? upper), by: seconds)
        }
        var (count, last, following) = (0, Timestamp?.none, Timestamp?.some(first))
        while let found = following, found <= upper {
            if count >= limit { return (count, last, true) }
            (count, last) = (count + 1, found)
            following = delayAfterCompletion == nil ? next(after: found) : nil
        }
        return (count, last, false)
    }

    private func counted(
        from first: Timestamp,
        through upper: Timestamp,
        by seconds: Int64
    ) -> (count: Int, last: Timestamp?, isCapped: Bool) {
        let from = Civil.floor(first.microseconds, by: 1_000_000)
        // The first time at or after the end of the calendar is the last that `next` answers.
        let top = min(Civil.floor(upper.microseconds, by: 1_000_000), Civil.seconds.upperBound + seconds)
        let steps = max(top - from, 0) / seconds
        return (Int(steps) + 1, Timestamp(seconds: from + steps * seconds), false)
    }

    /// The last nominal time before this instant; `nil` when there is none, and for a ``delayAfterCompletion``.
    ///
    /// `next` only ever grows with the instant it is asked about, so the answer lies between an instant whose next time
    /// is early enough and one whose is not: a few dozen questions, however rarely the rule fires.
    package func previous(before instant: Timestamp) -> Timestamp? {
        guard delayAfterCompletion == nil else { return nil }
        let earliest = Civil.seconds.lowerBound
        // Nothing lies between this second's next time, exclusively, and the instant.
        var high = min(Civil.floor(instant.microseconds, by: 1_000_000), Civil.seconds.upperBound + 1)
        var (low, width, found) = (high, Int64(3600), Timestamp?.none)
        while found == nil {
            guard low > earliest else { return nil }
            (high, low, width) = (low, max(low - width, earliest), width * 2)
            found = next(after: low, before: instant)
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if let later = next(after: middle, before: instant) {
                found = later
                low = max(middle, Civil.floor(later.microseconds, by: 1_000_000) - 1)
            } else {
                high = middle
            }
        }
        return found
    }

    private func next(after second: Int64, before instant: Timestamp) -> Timestamp? {
        next(after: Timestamp(seconds: second)).flatMap { $0 < instant ? $0 : nil }
    }
}
