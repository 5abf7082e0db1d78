// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

// The roads by which rows change and go when something was decided in Swift. Counts, unique keys, tags and signals are
// kept in step here; the functions in the migrations do the same for the rows they write.

extension PostgresSession {
    /// Changes a locked row by a decision of ErrandCore and writes what it changed.
    @discardableResult
    func change<Answer>(_ job: inout PostgresRow, _ decide: (inout JobRecord) throws -> Answer) throws -> Answer {
        let was = job.record
        let wasLane = job.lane
        let answer = try decide(&job.record)
        guard job.record != was else { return answer }
        let record = job.record
        guard record.state == was.state || was.state.canMove(to: record.state) else {
            throw StoreError(.corrupt, "a job cannot go from \(was.state.word) to \(record.state.word)")
        }
        if record.queue != was.queue || record.payload.version != was.payload.version {
            job.lane = try lane(of: .init(queue: record.queue, name: record.name, version: record.payload.version))
        }
        try write(job, was: was)
        if record.state != was.state || job.lane != wasLane {
            effects.tally(lane: wasLane, was.state, -1)
            effects.tally(lane: job.lane, record.state, 1)
        }
        if record.state.isFinal && !was.state.isFinal {
            if job.hasCheckpoints { try query(.deleteCheckpoints, [.uuids([record.id])]) }
            effects.finished.append(record.id)
            if let metric = SeriesMetric.ended(as: record.state) { effects.count(metric, lane: job.lane, at: now) }
        }
        if record.state.isPending, record.state != .waiting, record.hold == nil { effects.work.insert(record.queue) }
        if record.unique != nil { try updateKey(of: job.record, was: was.state) }
        return answer
    }

    private func write(_ job: PostgresRow, was: JobRecord) throws {
        let record = job.record
        try query(
            .updateJob,
            [
                .uuid(record.id), .int(job.lane), .int(Int64(record.state.rawValue)), .int(record.rank),
                .int(record.runAt.microseconds), .int(Int64(record.priority.level)), .int(record.epoch),
                .int(Int64(record.attempt)), .int(Int64(record.failures)), .int(Int64(record.crashes)),
                .int(Int64(record.releases)), .int(Int64(record.snoozes)), .int(Int64(record.run)),
                .int(Int64(record.revision)), .uuid(record.worker.flatMap { JobID(bytes: $0.bytes) }),
                .int(record.startedAt?.microseconds), .int(record.finishedAt?.microseconds),
                .int(record.startBy?.microseconds), .int(record.deadline?.microseconds), .text(record.hold?.stored),
                .int(record.state.isPending ? record.hold?.until?.microseconds : nil),
                .text(record.cancelRequest?.stored), .text(record.reason?.rawValue), .text(record.fingerprint),
                .text(record.progress?.stored), .int(record.dueAt?.microseconds), .int(record.expiresAt?.microseconds),
            ]
        )
        if record.retry != was.retry || record.tags != was.tags || record.headers != was.headers
            || record.error != was.error
        {
            try query(
                .updateDetails,
                [
                    .uuid(record.id), .text(record.retry.stored), .text(record.tags.stored),
                    .text(record.headers.stored), .text(record.error?.stored),
                ]
            )
        }
        if record.tags != was.tags {
            try query(.deleteTags, [.uuid(record.id), .texts(was.tags)])
            try query(.putTags, [.uuid(record.id), .texts(record.tags)])
        }
        if record.payload != was.payload {
            try query(
                .updatePayload,
                [.uuid(record.id), .text(record.payload.format.stored), .bytes(record.payload.bytes)]
            )
        }
    }

    /// Deletes locked rows that nobody runs, with their parts.
    func remove(_ jobs: [PostgresRow]) throws {
        try delete(jobs)
        for job in jobs where job.record.unique != nil { try forgetKey(of: job.record) }
    }

    /// Deletes rows with their parts, not their unique keys.
    func delete(_ jobs: [PostgresRow]) throws {
        guard !jobs.isEmpty else { return }
        let ids = PostgresValue.uuids(jobs.map(\.record.id))
        for part in [PostgresQuery.deleteJobs, .deleteResults, .deleteAttempts, .deleteLog, .deleteCheckpoints] {
            try query(part, [ids])
        }
        let tags = jobs.flatMap { job in job.record.tags.map { ($0, job.record.id) } }
        if !tags.isEmpty { try query(.deleteTagsOfJobs, [.texts(tags.map(\.0)), .uuids(tags.map(\.1))]) }
        for job in jobs { effects.tally(lane: job.lane, job.record.state, -1) }
    }
}

extension JobRecord {
    /// When the row becomes due by itself.
    var dueAt: Timestamp? {
        (state == .scheduled || state == .retrying) && hold == nil ? runAt : nil
    }

    /// When the row is late by itself; see ``JobRecord/isLate(at:)``.
    var expiresAt: Timestamp? {
        guard state.isPending, hold == nil else { return nil }
        guard let startBy, startedAt == nil else { return deadline }
        return deadline.map { min($0, startBy) } ?? startBy
    }
}

extension RetryPolicy {
    /// NULL for the policy of nearly every job.
    var stored: String? {
        // Writing it down takes longer than all else that is done with a job on its way to the server.
        if self == PostgresSession.defaultPolicy { return nil }
        let text = description
        return text == PostgresSession.defaultPolicyText ? nil : text
    }
}

extension [String] {
    var stored: String? { isEmpty ? nil : FlatJSON.text(self) }
}

extension [String: String] {
    var stored: String? { isEmpty ? nil : FlatJSON.text(self) }
}
