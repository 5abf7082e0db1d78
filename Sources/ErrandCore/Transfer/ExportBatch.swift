// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Jobs and records on their way from a store to another.
///
/// The store that let them go keeps the batch, as one opaque value, until it hears how it ended; the one that takes
/// them in does so once. In between they are in no list and nobody can claim them.
public struct ExportBatch: Sendable, Hashable, Codable {
    /// Its identity.
    public var id: ExportID
    /// The word for the store that will take it.
    public var destination: String
    /// The jobs, in the order in which the store took them when they were enqueued.
    public var jobs: [ExportedJob]
    /// Unique keys that outlived their jobs.
    public var keys: [ExportedKey]
    /// Lines of the audit, oldest first.
    public var audit: [AuditEntry]
    /// Counters; they are added to those of the other store.
    public var series: [SeriesPoint]
    /// Pauses. They are copied, not taken: the old store goes on obeying its own.
    public var pauses: [Pause]
    /// Where the part goes on, in words of the store's own; `nil` when its end was reached.
    public var next: String?

    /// A batch; empty until its lists are filled.
    public init(id: ExportID, destination: String, pauses: [Pause] = [], next: String? = nil) {
        self.id = id
        self.destination = destination
        self.pauses = pauses
        self.next = next
        (jobs, keys, audit, series) = ([], [], [], [])
    }

    /// Whether there is nothing in it. Such an answer to an export leaves no batch open.
    public var isEmpty: Bool {
        jobs.isEmpty && keys.isEmpty && audit.isEmpty && series.isEmpty && pauses.isEmpty
    }

    /// How long a store remembers the ids of jobs that left it, so that a late repeat of their insert does not bring
    /// them back: 24 hours.
    public static let departuresKept: Duration = .hours(24)

    /// How long a store remembers the ids of batches that it took in: 90 days. A batch that was left open for longer
    /// must be returned, not sent again.
    public static let importsKept: Duration = .days(90)
}

/// One job of a batch: everything that is stored of it.
public struct ExportedJob: Sendable, Hashable, Codable {
    /// What the job has to do with its unique key.
    public enum KeyRole: String, Sendable, Hashable, Codable, CaseIterable {
        /// It has the key.
        case holder
        /// It waits for the holder, which is before it in the same batch.
        case followUp
    }

    /// The job with all its parts.
    public var record: JobRecord
    /// `nil` when it has no unique key, or none any more.
    public var key: KeyRole?

    /// A job of a batch.
    public init(record: JobRecord, key: KeyRole?) {
        self.record = record
        self.key = key
    }

    /// About how many bytes it takes: what ``ExportRequest/byteLimit`` is counted in.
    public var weight: Int {
        var bytes = 512 + record.payload.bytes.count + (record.result?.bytes.count ?? 0) + 256 * record.attempts.count
        for line in record.log { bytes += 32 + line.message.utf8.count }
        for (name, value) in record.checkpoints { bytes += name.utf8.count + value.bytes.count }
        for attempt in record.attempts {
            if let error = attempt.error { bytes += error.message.utf8.count + (error.backtrace?.utf8.count ?? 0) }
        }
        return bytes
    }
}

/// A unique key with a time to live whose job is gone.
public struct ExportedKey: Sendable, Hashable, Codable {
    /// The key.
    public var key: String
    /// The job that had it.
    public var job: JobID
    /// What that job was when it was deleted.
    public var lastState: JobState
    /// When the key is free again.
    public var expiresAt: Timestamp

    /// A key without its job.
    public init(key: String, job: JobID, lastState: JobState, expiresAt: Timestamp) {
        self.key = key
        self.job = job
        self.lastState = lastState
        self.expiresAt = expiresAt
    }
}
