// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// Which batch a store shall let go.
public struct ExportRequest: Sendable, Hashable {
    /// What is wanted of a store, in the order in which a move asks for it: work that waits goes first, so that
    /// the new store can go on with it while the history follows.
    public enum Part: String, Sendable, Hashable, Codable, CaseIterable {
        /// Jobs that nobody runs and that are not final, held ones too.
        case pending
        /// Final jobs.
        case finished
        /// What belongs to no job: unique keys that outlived theirs, the audit, the counters per minute.
        case records
    }

    /// The identity of the batch, should the store open one; see ``ExportID``.
    public var id: ExportID
    /// A word for the store that will take it. An open batch is only given to whoever names the same.
    public var destination: String
    /// What is wanted.
    public var part: Part
    /// ``ExportBatch/next`` of the batch before, of the same part; `nil` starts at the oldest.
    public var after: String?
    /// The most jobs or records in the batch, 1 to ``largest``. A follow-up comes with its holder, even beyond it.
    public var limit: Int
    /// A batch that is larger than this takes no further job; one job is taken whatever its size.
    public var byteLimit: Int

    /// A request; numbers outside their bounds are clamped. Defaults: 500 jobs, 4 MiB.
    public init(
        id: ExportID,
        destination: String,
        part: Part,
        after: String? = nil,
        limit: Int = 500,
        byteLimit: Int = 4 << 20
    ) {
        self.id = id
        self.destination = destination
        self.part = part
        self.after = after
        self.limit = min(max(limit, 1), Self.largest)
        self.byteLimit = max(byteLimit, 1)
    }

    /// The most jobs of a batch: 5,000.
    public static let largest = 5000
}

/// What becomes of an open batch.
public enum ExportEnd: String, Sendable, Hashable, CaseIterable {
    /// The other store has taken it in; this one may forget it.
    case arrived
    /// The other store will never take it in; the jobs go on here.
    case returned
}

/// What a store did with a batch.
public struct ImportAnswer: Sendable, Hashable {
    /// The batch had been taken in before, and nothing was written.
    public var isRepeat: Bool
    /// Jobs of the batch whose ids were stored already. Those rows were left alone.
    public var present: [JobID]
    /// Jobs that were stored without the unique key they had, because another job of this store has it. They will run
    /// all the same: their enqueue was acknowledged.
    public var keyless: [JobID]

    /// An answer.
    public init(isRepeat: Bool = false, present: [JobID] = [], keyless: [JobID] = []) {
        self.isRepeat = isRepeat
        self.present = present
        self.keyless = keyless
    }
}
