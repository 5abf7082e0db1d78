// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import NIOCore

/// Gathers the jobs of one batch, as far as its limits allow. Pure: it decides what goes, and says how to take it out.
struct RedisExportHand {
    let request: ExportRequest
    private let limit: Int
    private(set) var groups: [RedisExportGroup] = []
    private(set) var seen: Set<JobID> = []
    private var count = 0
    private var weight = 0

    /// The most jobs that one script takes out, so that the server is not kept from others for long.
    private static let largest = 500

    init(_ request: ExportRequest) {
        self.request = request
        limit = min(request.limit, Self.largest)
    }

    /// How many jobs have room.
    var room: Int { max(limit - count, 0) }

    var isFull: Bool { count >= limit || weight >= request.byteLimit }

    /// How many jobs to read next, so that not many more bytes are read than go.
    var nextBite: Int {
        guard count > 0 else { return 8 }
        let fitting = (request.byteLimit - weight) / max(weight / count, 1) + 1
        return min(max(fitting, 1), 200, max(room, 1))
    }

    func wants(_ state: JobState) -> Bool {
        switch request.part {
        case .pending: state.isPending
        case .finished: state.isFinal
        case .records: false
        }
    }

    /// Takes a job, with its key and the follow-up that waits for it; leaves it when it cannot be read, is gone or runs, or is a
    /// follow-up, which goes with its holder.
    /// - Parameters:
    ///   - entry: Who has the job's unique key, and the bytes that say so.
    ///   - other: The job that waits for the key, if this one has it.
    mutating func take(_ job: ReadJob, _ entry: (RedisKeyEntry, ByteBuffer)?, followUp other: ReadJob?) {
        guard seen.insert(job.id).inserted, let stored = Self.row(job), wants(stored.record.state) else { return }
        var group = RedisExportGroup()
        guard let key = stored.record.unique?.key, let (entry, bytes) = entry, entry.holder == job.id else {
            if entry?.0.followUp == job.id { return }
            add(job, stored, as: nil, to: &group)
            return take(group)
        }
        add(job, stored, as: .holder, to: &group)
        if let other, other.job != nil {
            // Without it the holder stays too: somebody has to let it go.
            guard let waiting = Self.row(other), waiting.record.state != .running else { return }
            add(other, waiting, as: .followUp, to: &group)
            seen.insert(other.id)
        }
        let name = ByteBuffer(string: key)
        group.conditions.append(("u", name, bytes))
        for (word, place) in [("HDEL", "u"), ("ZREM", "k")] {
            group.writes.append(RedisWrite(ByteBuffer(string: word), ByteBuffer(string: place), name))
        }
        take(group, count: group.contents.jobs.count)
    }

    /// Takes what is ready to go; what cannot be written down stays.
    mutating func take(_ group: RedisExportGroup, count number: Int = 1) {
        var group = group
        guard group.encode() else { return }
        count += number
        for job in group.contents.jobs { weight += job.weight }
        groups.append(group)
    }

    private static func row(_ job: ReadJob) -> RedisTable.Row? {
        guard case .success(let stored)? = job.job else { return nil }
        return RedisTable.Row(head: stored.head, record: stored.record, before: (job.head, stored.record))
    }

    private func add(
        _ job: ReadJob,
        _ row: RedisTable.Row,
        as role: ExportedJob.KeyRole?,
        to group: inout RedisExportGroup
    ) {
        group.contents.jobs.append(ExportedJob(record: row.record, key: role))
        group.conditions.append(("j", ByteBuffer(bytes: job.id.bytes), job.head))
        var writer = RedisWriter()
        writer.remove(row)
        group.writes += writer.writes
    }
}
