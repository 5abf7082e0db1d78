// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension ZoneRules {
    /// A zone from anything that knows its offset, in whole seconds east of UTC, at seconds since 1970.
    ///
    /// `offset` is asked about 40,000 times, for every day from 1969 and every fourth from 2038, and to the second
    /// where it differs. From 2101 on the pattern of the years 2101 to 2128 repeats, which is exact for every zone that
    /// follows a yearly rule by then.
    public init(identifier: String, offset: (Int64) -> Int) {
        let explicit = OffsetSampler.changes(
            of: offset,
            from: Yearly.start(ofYear: 1969),
            to: Yearly.start(ofYear: 2101)
        )
        var kinds = [[Yearly.Change]](repeating: [], count: 14)
        var known = Set<Int>()
        for year in 2101...2128 where known.insert(Yearly.kind(ofYear: year)).inserted {
            let (start, end) = (Yearly.start(ofYear: year), Yearly.start(ofYear: year + 1))
            kinds[Yearly.kind(ofYear: year)] = OffsetSampler.changes(of: offset, from: start, to: end)
                .map {
                    Yearly.Change(second: $0.at - start, offset: $0.offset)
                }
        }
        let repeats = kinds.contains { !$0.isEmpty }
        self.init(
            identifier: identifier,
            changes: explicit.map(\.at),
            offsets: [Int64(offset(Yearly.start(ofYear: 1969)))] + explicit.map(\.offset),
            yearly: repeats ? Yearly(from: Yearly.start(ofYear: 2101), kinds: kinds) : nil
        )
    }

    /// The wall-clock hours that the zone's clocks skip in the years to come, as seconds of the day; `nil` for a zone
    /// without a yearly change.
    var usualGap: Range<Int64>? {
        guard let yearly, let first = yearly.firstChange(atOrAfter: yearly.from) else { return nil }
        for second in [first, yearly.firstChange(atOrAfter: first + 1) ?? first] {
            let (before, after) = (stretch(at: second - 1).offset, stretch(at: second).offset)
            guard after > before else { continue }
            let start = Civil.modulo(second + before, by: Civil.secondsPerDay)
            return start..<(start + after - before)
        }
        return nil
    }
}

/// Finds the changes of an offset that can only be asked for one instant at a time.
private enum OffsetSampler {
    static func changes(
        of offset: (Int64) -> Int,
        from start: Int64,
        to end: Int64
    ) -> [(at: Int64, offset: Int64)] {
        var found: [(at: Int64, offset: Int64)] = []
        let dense = Yearly.start(ofYear: 2038)
        var (second, current) = (start, offset(start))
        while second < end - 1 {
            let next = min(second + (second < dense ? 1 : 4) * Civil.secondsPerDay, end - 1)
            let value = offset(next)
            if value != current {
                // Two changes within one step would look like one: the first is found, and the search goes on there.
                let change = firstChange(of: offset, after: second, notAfter: next, unlike: current)
                current = offset(change)
                found.append((at: change, offset: Int64(current)))
                second = change
            } else {
                second = next
            }
        }
        return found
    }

    private static func firstChange(
        of offset: (Int64) -> Int,
        after low: Int64,
        notAfter high: Int64,
        unlike current: Int
    ) -> Int64 {
        var (low, high) = (low, high)
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if offset(middle) == current { low = middle } else { high = middle }
        }
        return high
    }
}
