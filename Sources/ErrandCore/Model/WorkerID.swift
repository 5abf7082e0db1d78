// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The identity of one start of one worker: a fresh UUIDv7 each time, never a host name, because a host
/// name that comes back after a crash makes the dead worker's jobs look alive (oban-bg/oban#862).
public struct WorkerID: Sendable, Hashable, Comparable, Codable, LosslessStringConvertible {
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

    public static func < (lhs: WorkerID, rhs: WorkerID) -> Bool { lhs.id < rhs.id }

    public init(from decoder: any Decoder) throws { id = try JobID(from: decoder) }

    public func encode(to encoder: any Encoder) throws { try id.encode(to: encoder) }
}
