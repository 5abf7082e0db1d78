// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// How often a decision is made again because another process changed what it was made from.
    private static let tries = 100

    /// Decides on a copy of some rows and keys and writes what changed in one act; again when anything that was looked at
    /// changed meanwhile.
    ///
    /// - Parameters:
    ///   - ids: The jobs to read at first; what else the decision asks for is read when it does.
    ///   - fields: Further places to read at first.
    ///   - withPayload: Whether arguments may change, so that payloads are read as well.
    ///   - isDryRun: Whether nothing is written.
    func decide<Answer: Sendable>(
        _ ids: [JobID],
        keys: [String] = [],
        fields: Set<RedisField> = [],
        withPayload: Bool = false,
        isDryRun: Bool = false,
        _ body: (inout RedisTable) throws(Missing) -> Answer
    ) async throws(StoreError) -> Answer {
        await turns.enter()
        defer { turns.leave() }
        var (wanted, wantedKeys, wantedFields) = (Set(ids), Set(keys), fields)
        var sequences: (first: Int64, count: Int)?
        for _ in 0..<Self.tries {
            var table = try await table(of: wanted, wantedKeys, withPayload: withPayload)
            try await load(wantedFields, into: &table)
            var decided: (table: RedisTable, answer: Answer)?
            while decided == nil {
                var copy = table
                do throws(Missing) {
                    let answer = try body(&copy)
                    decided = (copy, answer)
                } catch {
                    switch error {
                    case .jobs(let more):
                        wanted.formUnion(more)
                        try await load(more, into: &table, withPayload: withPayload)
                    case .key(let key):
                        wantedKeys.insert(key)
                        try await load([key], into: &table)
                    case .field(let field):
                        wantedFields.insert(field)
                        try await load([field], into: &table)
                    }
                }
            }
            guard let decided else { continue }
            var changed = decided.table
            guard !isDryRun, changed.isChanged else { return decided.answer }
            if !changed.added.isEmpty {
                let enough = sequences.map { $0.count >= changed.added.count } ?? false
                if !enough { sequences = (try await newSequences(changed.added.count), changed.added.count) }
                changed.firstSequence = sequences?.first ?? 0
            }
            guard try await commit(changed) else { continue }
            changed.effects.publish(to: hub)
            return decided.answer
        }
        throw StoreError(.unavailable, "others change the same jobs all the time; try again")
    }

    private func table(
        of ids: Set<JobID>,
        _ keys: Set<String>,
        withPayload: Bool
    ) async throws(StoreError) -> RedisTable {
        var table: RedisTable
        if ids.isEmpty {
            table = RedisTable(now: try await fetch([]).now)
        } else {
            let read = try await read(Array(ids), parts: withPayload ? .payload : [])
            table = RedisTable(now: read.now)
            Self.put(read.jobs, into: &table)
        }
        var needed = keys
        for case .some(let row) in table.rows.values {
            if let key = row.record.unique?.key { needed.insert(key) }
        }
        try await load(needed, into: &table)
        return table
    }

    private func load(_ ids: Set<JobID>, into table: inout RedisTable, withPayload: Bool) async throws(StoreError) {
        let jobs = try await read(Array(ids), parts: withPayload ? .payload : []).jobs
        Self.put(jobs, into: &table)
        let keys = jobs.compactMap { try? $0.job?.get().record.unique?.key }
        try await load(Set(keys).filter { table.keys[$0] == nil }, into: &table)
    }

    private static func put(_ jobs: [ReadJob], into table: inout RedisTable) {
        for read in jobs {
            switch read.job {
            case nil:
                table.rows[read.id] = .some(nil)
                if read.hasLeft { table.departed.insert(read.id) }
            case .success(let job)?:
                table.rows[read.id] = RedisTable.Row(
                    head: job.head,
                    record: job.record,
                    before: (read.head, job.record)
                )
            case .failure(let error)?:
                table.rows[read.id] = .some(nil)
                table.unreadable[read.id] = error.message
            }
        }
    }

    private func load(_ keys: Set<String>, into table: inout RedisTable) async throws(StoreError) {
        guard !keys.isEmpty else { return }
        let names = Array(keys)
        let words = [ByteBuffer(string: "HMGET"), ByteBuffer(string: "u")] + names.map { ByteBuffer(string: $0) }
        guard let values = try await fetch([words]).answers.first?.elements, values.count == names.count else {
            throw StoreError.oddAnswer
        }
        for (name, value) in zip(names, values) {
            table.keysBefore[name] = .some(value.buffer)
            // A damaged entry is that of nobody: its job, if there is one, lives on without the key.
            table.keys[name] = .some(value.buffer.flatMap { try? RedisKeyEntry(stored: $0) })
        }
    }

    private func load(_ fields: Set<RedisField>, into table: inout RedisTable) async throws(StoreError) {
        guard !fields.isEmpty else { return }
        let places = Array(fields)
        let looks = places.map { place in
            let word = ["D", "M"].contains(place.key) ? "ZSCORE" : "HGET"
            return [ByteBuffer(string: word), ByteBuffer(string: place.key), place.field]
        }
        for (place, value) in zip(places, try await fetch(looks).answers) {
            table.fields[place] = .some(value.buffer)
        }
    }

    private func newSequences(_ count: Int) async throws(StoreError) -> Int64 {
        let reserve = [RedisWrite(["INCRBY", "S", String(count)].map { ByteBuffer(string: $0) })]
        _ = try await write(reserve, conditions: [])
        let number = [ByteBuffer(string: "GET"), ByteBuffer(string: "S")]
        guard let last = try await fetch([number]).answers.first?.integer else { throw StoreError.oddAnswer }
        // Another process may have reserved some in between: these are higher than they need to be, and still unique
        // because the job's id stands behind them.
        return last - Int64(count) + 1
    }

    /// Writes what a decision changed.
    /// - Returns: False when something it was decided from has changed, and nothing was written.
    private func commit(_ table: RedisTable) async throws(StoreError) -> Bool {
        // A row that cannot be read has bytes that are not known here: it is no condition.
        let conditions = table.allConditions.filter { condition in
            guard condition.hash == "j", let id = JobID(bytes: condition.field.readableBytesView) else { return true }
            return table.unreadable[id] == nil
        }
        return try await write(
            table.writes(origin: origin),
            conditions: conditions,
            decidedAt: table.now,
            storesJobs: !table.added.isEmpty && !table.takesBack
        )
    }

    /// Writes, if the conditions hold.
    func write(
        _ writes: [RedisWrite],
        conditions: [(hash: String, field: ByteBuffer, value: ByteBuffer)],
        decidedAt: Timestamp? = nil,
        storesJobs: Bool = false
    ) async throws(StoreError) -> Bool {
        let script = storesJobs ? RedisScripts.commitNew : RedisScripts.commit
        let answer = try await run(script, at: decidedAt, capacity: 64 * (writes.count + conditions.count)) { command in
            command.append(decidedAt == nil ? "" : longestDecision)
            command.append(conditions.count)
            for condition in conditions {
                command.append(condition.hash)
                command.append(condition.field)
                command.append(condition.value)
            }
            for write in writes {
                command.append(write.words.count)
                for word in write.words { command.append(word) }
            }
        }
        return answer.first?.integer == 1
    }
}
