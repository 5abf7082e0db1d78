// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension PostgresSession {
    /// A job with a unique key, and its place in a batch that is stored in parts.
    struct Keyed: Sendable {
        var place: Int64?
        var job: NewJob
    }

    /// Stores jobs with unique keys, in the order of the keys, and answers in the order of the jobs.
    ///
    /// Keys that nobody has are taken by one statement, and their jobs stored by another; the others are decided one by
    /// one.
    func insert(_ items: [Keyed], base: Int64? = nil) throws -> [InsertAnswer] {
        var answers: [InsertAnswer?] = Array(repeating: nil, count: items.count)
        let existing = try query(.existingJobs, [.uuids(items.map(\.job.id))])
        let stored = Set((0..<existing.count).compactMap { existing.id($0, 0) })
        var firsts: [(index: Int, rule: UniqueRule)] = []
        var seen: Set<String> = []
        for (index, item) in items.enumerated() {
            guard let rule = item.job.unique else { continue }
            if stored.contains(item.job.id) {
                answers[index] = .stored(item.job.id)
            } else if seen.insert(rule.key).inserted {
                firsts.append((index, rule))
            }
        }
        for index in try takeKeys(firsts, of: items, base: base) { answers[index] = .stored(items[index].job.id) }
        let rest = items.indices.filter { answers[$0] == nil }
            .sorted { (items[$0].job.unique?.key ?? "", $0) < (items[$1].job.unique?.key ?? "", $1) }
        for index in rest { answers[index] = try insert(items[index], base: base) }
        return answers.map { $0 ?? .refused(.unreadable("answer")) }
    }

    /// Takes the keys that are free and stores their jobs.
    /// - Returns: The indices of the jobs that were stored.
    private func takeKeys(
        _ firsts: [(index: Int, rule: UniqueRule)],
        of items: [Keyed],
        base: Int64?
    ) throws -> [Int] {
        guard !firsts.isEmpty else { return [] }
        let states = firsts.map { first in
            items[first.index].job.start.instant(from: now) > now ? JobState.scheduled : .ready
        }
        let taken = try query(
            .takeKeys,
            [
                .int(now.microseconds), .texts(firsts.map(\.rule.key)), .uuids(firsts.map { items[$0.index].job.id }),
                .ints(firsts.map { $0.rule.scope.ttl?.wholeMicroseconds }), .ints(states.map { Int64($0.rawValue) }),
            ]
        )
        let free = Set((0..<taken.count).map { taken.text($0, 0) })
        let indices = firsts.filter { free.contains($0.rule.key) }.map(\.index)
        try add(indices.map { items[$0] }, base: base)
        return indices
    }

    /// Stores jobs whose keys are theirs, or that wait for them.
    private func add(_ items: [Keyed], base: Int64?, isWaiting: Bool = false) throws {
        guard !items.isEmpty else { return }
        let jobs = items.map(\.job)
        let insert = PostgresInsert(
            jobs,
            lanes: try jobs.map { try lane(of: $0.laneKey) },
            base: base,
            places: base == nil ? nil : items.map { $0.place ?? 0 },
            isWaiting: isWaiting
        )
        try query(.insert, insert.values(at: .int(now.microseconds)))
        if !isWaiting { effects.work.formUnion(jobs.map(\.queue)) }
    }

    private func insert(_ item: Keyed, base: Int64?) throws -> InsertAnswer {
        guard let rule = item.job.unique else { return .refused(.unreadable("unique rule")) }
        if try query(.existingJobs, [.uuids([item.job.id])]).count > 0 { return .stored(item.job.id) }
        guard let entry = try currentKey(rule.key) else {
            guard try takeKeys([(0, rule)], of: [item], base: base).isEmpty else { return .stored(item.job.id) }
            // Somebody took it between the two looks, and has committed.
            return try insert(item, base: base)
        }
        return try collide(item, rule, with: entry, base: base)
    }

    private func collide(
        _ item: Keyed,
        _ rule: UniqueRule,
        with entry: PostgresKey,
        base: Int64?
    ) throws -> InsertAnswer {
        let found = try lock([entry.holder], withPayload: true)[entry.holder]
        if case .failure(let error) = found { return .refused(error) }
        guard case .success(var holder) = found else {
            if rule.conflict == .throwError { return .refused(taken(by: entry.holder, rule)) }
            return .duplicate(of: entry.holder, entry.lastState)
        }
        if holder.record.isOverdue(at: now) {
            // It will not run: joined to it, the newcomer would not either.
            try change(&holder) { $0.expire(at: now) }
            return try insert(item, base: base)
        }
        let collision = try change(&holder) {
            $0.collide(with: item.job, at: now, hasFollowUp: entry.followUp != nil)
        }
        switch collision {
        case .refused: return .refused(taken(by: entry.holder, rule))
        case .existing: return .duplicate(of: entry.holder, holder.record.state)
        case .replaced: return .replaced(entry.holder)
        case .followUp:
            if let id = entry.followUp, var followUp = try lockOrHold([id], withPayload: true).first {
                try change(&followUp) { $0.adopt([.payload, .labels], of: item.job, at: now) }
                return .replaced(id)
            }
            try add([item], base: base, isWaiting: true)
            try setFollowUp(item.job.id, of: rule.key)
            return .stored(item.job.id)
        }
    }

    private func taken(by holder: JobID, _ rule: UniqueRule) -> StoreError {
        StoreError(.conflict, "the unique key '\(rule.key)' is taken by job \(holder); wait for it or change the key")
    }
}
