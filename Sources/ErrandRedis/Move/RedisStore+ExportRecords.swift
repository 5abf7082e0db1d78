// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore
import RedisWire

// What a store holds that belongs to no job, on its way out.

extension RedisStore {
    /// Fills the hand with records.
    /// - Returns: Where the part goes on; `nil` at its end.
    func gatherRecords(
        from start: RedisExportPlace,
        into hand: inout RedisExportHand
    ) async throws(StoreError) -> RedisExportPlace? {
        var place = start
        if case .keys(let skipped) = place {
            if let next = try await gatherKeys(skipping: skipped, into: &hand) { return next }
            place = .audit
        }
        if place == .audit {
            guard hand.room > 0 else { return place }
            try await gatherAudit(into: &hand)
            guard hand.room > 0 else { return place }
            place = .series(minute: 0)
        }
        guard case .series(let minute) = place else { return nil }
        return try await gatherSeries(from: minute, into: &hand)
    }

    /// Keys with a TTL whose job is gone; those whose job is there are passed.
    private func gatherKeys(
        skipping start: Int,
        into hand: inout RedisExportHand
    ) async throws(StoreError) -> RedisExportPlace? {
        let step = 500
        var (skipped, taken, looked) = (start, 0, 0)
        while looked < 5000 {
            let first = skipped + taken
            let range = ["ZRANGE", "k", String(first), String(first + step - 1)].map { ByteBuffer(string: $0) }
            let names = (try await fetch([range]).answers.first?.elements ?? []).compactMap(\.buffer)
            guard !names.isEmpty else { return nil }
            looked += names.count
            let values = try await fetch([["HMGET", "u"].map { ByteBuffer(string: $0) } + names]).answers.first
            let entries = (values?.elements ?? []).map(\.buffer)
            let read = entries.map { $0.flatMap { try? RedisKeyEntry(stored: $0) } }
            let holders = read.map { ByteBuffer(bytes: $0?.holder.bytes ?? []) }
            let rows = try await fetch([["HMGET", "j"].map { ByteBuffer(string: $0) } + holders]).answers.first
            let heads = (rows?.elements ?? []).map(\.buffer)
            guard entries.count == names.count, heads.count == names.count else { throw StoreError.oddAnswer }
            for (index, name) in names.enumerated() {
                guard hand.room > 0 else { return .keys(skipped: skipped) }
                guard heads[index] == nil, let entry = read[index], let bytes = entries[index],
                    let end = entry.expiresAt
                else {
                    skipped += 1
                    continue
                }
                var group = RedisExportGroup()
                let key = String(buffer: name)
                group.contents.keys = [
                    ExportedKey(key: key, job: entry.holder, lastState: entry.lastState, expiresAt: end)
                ]
                group.conditions = [("u", name, bytes), ("j", holders[index], ByteBuffer())]
                group.writes = [("HDEL", "u"), ("ZREM", "k")]
                    .map { RedisWrite(ByteBuffer(string: $0.0), ByteBuffer(string: $0.1), name) }
                hand.take(group)
                taken += 1
            }
            if names.count < step { return nil }
        }
        return .keys(skipped: skipped)
    }

    /// The oldest lines of the audit, which stand at the end of the list.
    private func gatherAudit(into hand: inout RedisExportHand) async throws(StoreError) {
        let range = ["LRANGE", "y", String(-hand.room), "-1"].map { ByteBuffer(string: $0) }
        let lines = (try await fetch([range]).answers.first?.elements ?? []).compactMap(\.buffer)
        guard !lines.isEmpty else { return }
        var group = RedisExportGroup()
        for line in lines.reversed() { group.contents.audit.append(try AuditEntry(stored: line)) }
        var bytes = ByteBuffer()
        for line in lines { bytes.writeImmutableBuffer(line) }
        group.conditions = [("y", ByteBuffer(string: String(lines.count)), bytes)]
        let trim = ["LTRIM", "y", "0", String(-lines.count - 1)].map { ByteBuffer(string: $0) }
        group.writes = [RedisWrite(trim)]
        hand.take(group, count: lines.count)
    }

    /// The counters, the oldest minute first. One that is raised meanwhile stays for the next move.
    private func gatherSeries(
        from start: Int64,
        into hand: inout RedisExportHand
    ) async throws(StoreError) -> RedisExportPlace? {
        var (from, looked) = (start, 0)
        while looked < 500 {
            let range = ["ZRANGEBYSCORE", "m", String(from), "+inf", "LIMIT", "0", "20"].map { ByteBuffer(string: $0) }
            let minutes = (try await fetch([range]).answers.first?.elements ?? []).compactMap(\.integer)
            let looks = minutes.map { ["HGETALL", "m:\($0)"].map { ByteBuffer(string: $0) } }
            let counted = looks.isEmpty ? [] : Array(try await fetch(looks).answers)
            for (minute, words) in zip(minutes, counted) {
                let words = words.elements ?? []
                for index in stride(from: 0, to: words.count - 1, by: 2) {
                    guard let name = words[index].buffer, let value = words[index + 1].buffer,
                        let point = try Self.point(minute, words[index], words[index + 1])
                    else { continue }
                    guard hand.room > 0 else { return .series(minute: minute) }
                    var group = RedisExportGroup()
                    group.contents.series = [point]
                    group.conditions = [("m:\(minute)", name, value)]
                    group.writes = [RedisWrite(ByteBuffer(string: "HDEL"), ByteBuffer(string: "m:\(minute)"), name)]
                    hand.take(group)
                }
                from = minute + 1
            }
            looked += minutes.count
            if minutes.count < 20 { return nil }
        }
        return .series(minute: from)
    }
}
