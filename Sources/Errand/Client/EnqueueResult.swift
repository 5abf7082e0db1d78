// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// What an enqueue came to.
public struct EnqueueResult: Sendable, Hashable {
    /// The kinds of result.
    public enum Kind: Sendable, Hashable {
        /// The job is stored.
        case stored
        /// Its unique key is taken; the job that has it stays and is answered.
        case duplicate
        /// Its unique key is taken by a pending job, which took fields of the new one.
        case replaced
    }

    /// The job that does the work.
    public let id: JobID
    /// What happened.
    public let kind: Kind

    /// A result.
    public init(id: JobID, kind: Kind) {
        self.id = id
        self.kind = kind
    }

    /// The result for a store's answer.
    /// - Throws: The ``/ErrandCore/StoreError`` of a refused job.
    init(_ answer: InsertAnswer) throws {
        switch answer {
        case .stored(let id): self.init(id: id, kind: .stored)
        case .claimed(let claimed): self.init(id: claimed.record.id, kind: .stored)
        case .duplicate(let id, _): self.init(id: id, kind: .duplicate)
        case .replaced(let id): self.init(id: id, kind: .replaced)
        case .refused(let error): throw error
        }
    }
}
