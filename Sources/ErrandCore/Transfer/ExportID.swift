// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The identity of one batch of jobs on its way from a store to another.
///
/// Whoever moves jobs makes it, not the store, and it is never used for another batch: a store that has taken a batch
/// in remembers the id and takes it in once, whoever brings it how often.
public struct ExportID: Sendable, Hashable, Comparable, Codable, LosslessStringConvertible {
    private let id: JobID

    /// A new identity; see ``JobID/init(at:using:)``.
    public init(at now: Timestamp, using generator: inout some RandomNumberGenerator) {
        id = JobID(at: now, using: &generator)
    }

    /// The identity in its 36-character form; `nil` for anything else.
    public init?(_ description: String) {
        guard let id = JobID(description) else { return nil }
        self.id = id
    }

    /// The identity in these 16 bytes; `nil` for any other number.
    public init?(bytes: some Collection<UInt8>) {
        guard let id = JobID(bytes: bytes) else { return nil }
        self.id = id
    }

    /// The identity as 16 bytes.
    public var bytes: [UInt8] { id.bytes }

    /// The 36-character lower-case form.
    public var description: String { id.description }

    public static func < (lhs: ExportID, rhs: ExportID) -> Bool { lhs.id < rhs.id }

    public init(from decoder: any Decoder) throws { id = try JobID(from: decoder) }

    public func encode(to encoder: any Encoder) throws { try id.encode(to: encoder) }
}
