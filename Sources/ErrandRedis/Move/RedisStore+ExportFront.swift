// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore
import RedisWire

// What waits in a queue, for a move.

extension RedisStore {
    /// The queues that have lanes, and those in which something is due later.
    func queuesThatWait() async throws(StoreError) -> (ready: [QueueName], due: [QueueName]) {
        var (ready, due) = ([QueueName](), [QueueName]())
        for some in try await queueNames().sorted().bites(of: 200) {
            let looks = some.flatMap { [["HLEN", "v:" + $0.rawValue], ["ZCARD", "d:" + $0.rawValue]] }
            let sizes = Array(try await fetch(looks.map { $0.map { ByteBuffer(string: $0) } }).answers)
            for (index, queue) in some.enumerated() {
                if sizes[2 * index].integer ?? 0 > 0 { ready.append(queue) }
                if sizes[2 * index + 1].integer ?? 0 > 0 { due.append(queue) }
            }
        }
        return (ready, due)
    }

    /// The first ready jobs of a queue, in the order in which they would be claimed.
    func readyFront(
        of queue: QueueName,
        room: Int
    ) async throws(StoreError) -> (ids: [JobID], isWhole: Bool) {
        struct Member {
            var id: JobID
            var rank: Int64
            var sequence: Int64
            var order: (Int64, Int64) { (rank, sequence) }
        }
        let words = [["HGETALL", "v:" + queue.rawValue].map { ByteBuffer(string: $0) }]
        let names = try await fetch(words).answers.first?.elements ?? []
        var lanes: [(key: String, priority: JobPriority)] = []
        for index in stride(from: 0, to: names.count - 1, by: 2) {
            for lane in (names[index + 1].text ?? "").split(separator: ";") {
                let parts = lane.split(separator: ".")
                guard parts.count == 2, let priority = Int(parts[1]) else { continue }
                let key = "l:\(queue.rawValue)\0\(names[index].text ?? "")\0\(parts[0])\0\(parts[1])"
                lanes.append((key, JobPriority(priority)))
            }
        }
        guard !lanes.isEmpty else { return ([], true) }
        let width = max(64, min(2 * room, Self.exportScan / lanes.count))
        var members: [Member] = []
        // What comes behind the end of what was read of a lane has its turn with the next batch.
        var end: Member?
        for some in lanes.bites(of: 50) {
            let looks = some.map { ["ZRANGE", $0.key, "0", String(width - 1), "WITHSCORES"] }
            let answers = try await fetch(looks.map { $0.map { ByteBuffer(string: $0) } }).answers
            for (lane, answer) in zip(some, answers) {
                let found = answer.elements ?? []
                for index in stride(from: 0, to: found.count - 1, by: 2) {
                    guard let (id, sequence) = Self.member(found[index]), let time = found[index + 1].integer else {
                        continue
                    }
                    let rank = lane.priority.rank(readyAt: Timestamp(microseconds: time))
                    members.append(Member(id: id, rank: rank, sequence: sequence))
                }
                if found.count == 2 * width, let last = members.last, end.map({ last.order < $0.order }) ?? true {
                    end = last
                }
            }
        }
        members.sort { $0.order < $1.order }
        let all = end.map { end in members.prefix { $0.order <= end.order } } ?? members[...]
        return (all.map(\.id), end == nil)
    }

    /// The first jobs of a queue that are due later, the earliest first.
    func dueFront(of queue: QueueName, room: Int) async throws(StoreError) -> (ids: [JobID], isWhole: Bool) {
        let width = max(64, 2 * room)
        let words = ["ZRANGE", "d:" + queue.rawValue, "0", String(width - 1)].map { ByteBuffer(string: $0) }
        let found = try await fetch([words]).answers.first?.elements ?? []
        return (found.compactMap { Self.member($0)?.id }, found.count < width)
    }

    private static func member(_ value: RESPValue) -> (id: JobID, sequence: Int64)? {
        guard var bytes = value.buffer, let sequence = bytes.readInteger(as: Int64.self),
            let id = JobID(bytes: bytes.readableBytesView)
        else { return nil }
        return (id, sequence)
    }
}
