// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The question that lists, counts and bulk operations ask. All conditions that are set must hold; an empty
/// one asks for everything.
public struct JobFilter: Sendable, Hashable {
    /// Only these states.
    public var states: Set<JobState>
    /// Only these names.
    public var names: Set<JobName>
    /// Only these queues.
    public var queues: Set<QueueName>
    /// Only jobs with all of these tags.
    public var tags: Set<String>
    /// Only these ids.
    public var ids: Set<JobID>
    /// Only jobs stored at or after this instant.
    public var createdFrom: Timestamp?
    /// Only jobs stored before this instant. A bulk operation uses it as its fence: jobs that arrive after
    /// somebody looked are left alone.
    public var createdBefore: Timestamp?
    /// Only jobs of this group of dead letters.
    public var fingerprint: String?
    /// Only the job with this unique key.
    public var uniqueKey: String?
    /// Only jobs whose payload holds this text, case as given.
    public var text: String?
    /// Only jobs that are held, or only jobs that are not.
    public var isHeld: Bool?

    /// A filter.
    public init(
        states: Set<JobState> = [],
        names: Set<JobName> = [],
        queues: Set<QueueName> = [],
        tags: Set<String> = [],
        ids: Set<JobID> = [],
        createdFrom: Timestamp? = nil,
        createdBefore: Timestamp? = nil,
        fingerprint: String? = nil,
        uniqueKey: String? = nil,
        text: String? = nil,
        isHeld: Bool? = nil
    ) {
        self.states = states
        self.names = names
        self.queues = queues
        self.tags = tags
        self.ids = ids
        self.createdFrom = createdFrom
        self.createdBefore = createdBefore
        self.fingerprint = fingerprint
        self.uniqueKey = uniqueKey
        self.text = text
        self.isHeld = isHeld
    }

    /// Whether a record, read with its payload, is meant. The definition that engines translate.
    public func matches(_ record: JobRecord) -> Bool {
        (states.isEmpty || states.contains(record.state))
            && (names.isEmpty || names.contains(record.name))
            && (queues.isEmpty || queues.contains(record.queue))
            && tags.isSubset(of: record.tags)
            && (ids.isEmpty || ids.contains(record.id))
            && (createdFrom.map { record.createdAt >= $0 } ?? true)
            && (createdBefore.map { record.createdAt < $0 } ?? true)
            && (fingerprint.map { record.fingerprint == $0 } ?? true)
            && (uniqueKey.map { record.unique?.key == $0 } ?? true)
            && (isHeld.map { (record.hold != nil) == $0 } ?? true)
            && (text.map { record.payload.contains($0) } ?? true)
    }
}

extension Payload {
    /// Whether the encoded bytes hold this text; an empty text is everywhere.
    func contains(_ text: String) -> Bool {
        let wanted = Array(text.utf8)
        guard let first = wanted.first else { return true }
        guard bytes.count >= wanted.count else { return false }
        return (0...(bytes.count - wanted.count))
            .contains { start in
                bytes[start] == first && bytes[start..<(start + wanted.count)].elementsEqual(wanted)
            }
    }
}
