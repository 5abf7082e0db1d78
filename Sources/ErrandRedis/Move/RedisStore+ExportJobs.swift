// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore
import RedisWire

extension RedisStore {
    /// The most rows a call looks at for its batch; the next call goes on behind them.
    static let exportScan = 5000
    /// How many ids are walked at a time.
    private static let exportStep = 1000

    /// Fills the hand with jobs.
    /// - Returns: Where the part goes on; `nil` at its end.
    func gatherJobs(
        from start: RedisExportPlace,
        into hand: inout RedisExportHand
    ) async throws(StoreError) -> RedisExportPlace? {
        var place = start
        if case .rest(let id) = place { return try await gatherRest(after: id, into: &hand) }
        let queues = try await queuesThatWait()
        if case .ready(let first) = place {
            for queue in queues.ready where queue >= first {
                if try await gather(try await readyFront(of: queue, room: hand.room), into: &hand) {
                    return .ready(queue)
                }
            }
            place = .due(QueueName(""))
        }
        if case .due(let first) = place {
            for queue in queues.due where queue >= first {
                if try await gather(try await dueFront(of: queue, room: hand.room), into: &hand) { return .due(queue) }
            }
        }
        return try await gatherRest(after: nil, into: &hand)
    }

    /// Takes what is at the front of a queue.
    /// - Returns: Whether there may be more that has its turn with the next batch. What was left although it had its turn
    ///   is met again behind all queues.
    private func gather(
        _ front: (ids: [JobID], isWhole: Bool),
        into hand: inout RedisExportHand
    ) async throws(StoreError) -> Bool {
        let before = hand.groups.count
        _ = try await pick(front.ids, into: &hand)
        return hand.isFull || (!front.isWhole && hand.groups.count > before)
    }

    /// Takes these jobs in order, as far as there is room.
    /// - Returns: How many of them had their turn.
    private func pick(_ ids: [JobID], into hand: inout RedisExportHand) async throws(StoreError) -> Int {
        var place = 0
        while place < ids.count, !hand.isFull {
            let some = Array(ids[place..<min(place + hand.nextBite, ids.count)])
            let fresh = some.filter { !hand.seen.contains($0) }
            let jobs = fresh.isEmpty ? [] : try await read(fresh, parts: .all).jobs
            let entries = try await keyEntries(of: jobs)
            let waiting = Set(entries.values.compactMap(\.0.followUp)).subtracting(fresh)
            let others = waiting.isEmpty ? [] : try await read(Array(waiting), parts: .all).jobs
            let found = Dictionary((jobs + others).map { ($0.id, $0) }) { first, _ in first }
            for id in some {
                if hand.isFull { return place }
                place += 1
                guard let job = found[id] else { continue }
                let entry = (try? job.job?.get().record.unique?.key).flatMap { entries[$0] }
                hand.take(job, entry, followUp: entry?.0.followUp.flatMap { found[$0] })
            }
        }
        return place
    }

    private func keyEntries(of jobs: [ReadJob]) async throws(StoreError) -> [String: (RedisKeyEntry, ByteBuffer)] {
        let keys = Array(Set(jobs.compactMap { try? $0.job?.get().record.unique?.key }))
        guard !keys.isEmpty else { return [:] }
        let words = [ByteBuffer(string: "HMGET"), ByteBuffer(string: "u")] + keys.map { ByteBuffer(string: $0) }
        guard let values = try await fetch([words]).answers.first?.elements, values.count == keys.count else {
            throw StoreError.oddAnswer
        }
        var entries: [String: (RedisKeyEntry, ByteBuffer)] = [:]
        for (key, value) in zip(keys, values) {
            // A damaged entry is that of nobody.
            if let bytes = value.buffer, let entry = try? RedisKeyEntry(stored: bytes) { entries[key] = (entry, bytes) }
        }
        return entries
    }

    /// Walks all jobs by id.
    private func gatherRest(
        after start: JobID?,
        into hand: inout RedisExportHand
    ) async throws(StoreError) -> RedisExportPlace? {
        var (last, looked) = (start, 0)
        while looked < Self.exportScan {
            var from = ByteBuffer(string: last == nil ? "-" : "(")
            if let last { from.write(last) }
            let range = ["ZRANGEBYLEX", "i"].map { ByteBuffer(string: $0) } + [from]
            let limit = ["+", "LIMIT", "0", String(Self.exportStep)].map { ByteBuffer(string: $0) }
            let ids = (try await fetch([range + limit]).answers.first?.elements ?? []).compactMap(\.buffer)
            guard !ids.isEmpty else { return nil }
            looked += ids.count
            let look = ["HMGET", "j"].map { ByteBuffer(string: $0) } + ids
            let heads = try await fetch([look]).answers.first?.elements ?? []
            let meant = zip(ids, heads)
                .compactMap { bytes, head -> JobID? in
                    guard let buffer = head.buffer,
                        let number = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self),
                        let state = JobState(rawValue: Int(number)), hand.wants(state)
                    else { return nil }
                    return JobID(bytes: bytes.readableBytesView)
                }
            let picked = try await pick(meant, into: &hand)
            if picked < meant.count || (hand.isFull && picked > 0) {
                return .rest(after: picked > 0 ? meant[picked - 1] : last)
            }
            last = ids.last.flatMap { JobID(bytes: $0.readableBytesView) } ?? last
            if ids.count < Self.exportStep { return nil }
        }
        return .rest(after: last)
    }
}
