// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// The options of a row that plain SQL put into an outbox, as its JSON object names them.
///
/// | key | meaning |
/// |---|---|
/// | `queue`, `version`, `priority`, `tags`, `headers` | as in ``NewJob`` |
/// | `delay`, `runAt` | seconds, or microseconds since the Unix epoch |
/// | `startWithin`, `deadline`, `timeout` | seconds; `timeout: null` for no limit |
/// | `maxAttempts` | with the usual waits between |
/// | `uniqueKey` | what counts as the same job |
/// | `uniqueFor` | seconds for which the key is taken, or |
/// | `uniqueUntil` | `start` or `done`, which is usual |
/// | `onConflict` | `existing`, which is usual, or `refuse` |
///
/// Other keys are refused: a misspelt one would be a limit that does not hold.
public struct OutboxOptions: Sendable, Hashable, Decodable {
    private enum Key: String, CodingKey, CaseIterable {
        case queue, version, priority, tags, headers, delay, runAt, startWithin, deadline, timeout, maxAttempts
        case uniqueKey, uniqueFor, uniqueUntil, onConflict
    }

    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init?(stringValue: String) { self.stringValue = stringValue }

        init?(intValue: Int) { nil }
    }

    private let change: Change

    /// What is set besides the name and the payload.
    private struct Change: Sendable, Hashable {
        var queue: QueueName = .default
        var version = 1
        var priority: JobPriority = .normal
        var tags: [String] = []
        var headers: [String: String] = [:]
        var start: NewJob.Start = .now
        var startWithin: Duration?
        var deadline: Duration?
        var timeout: Duration? = NewJob.defaultTimeout
        var retry: RetryPolicy = .default
        var unique: UniqueRule?
    }

    /// Reads the object.
    /// - Throws: `DecodingError` for an unknown key or a value of another kind.
    public init(from decoder: any Decoder) throws {
        let all = try decoder.container(keyedBy: AnyKey.self)
        if let stranger = all.allKeys.first(where: { Key(rawValue: $0.stringValue) == nil }) {
            throw DecodingError.dataCorruptedError(
                forKey: stranger,
                in: all,
                debugDescription: "'\(stranger.stringValue)' is no option; these are: "
                    + Key.allCases.map(\.rawValue).joined(separator: ", ")
            )
        }
        let options = try decoder.container(keyedBy: Key.self)
        func seconds(_ key: Key) throws -> Duration? {
            guard let value = try options.decodeIfPresent(Double.self, forKey: key) else { return nil }
            // A hundred years are enough, and far from where numbers of microseconds end.
            return .microseconds(Int64((min(max(value, 0), 3_155_760_000) * 1e6).rounded()))
        }
        var change = Change()
        if let queue = try options.decodeIfPresent(String.self, forKey: .queue) { change.queue = QueueName(queue) }
        if let version = try options.decodeIfPresent(Int.self, forKey: .version) { change.version = version }
        if let level = try options.decodeIfPresent(Int.self, forKey: .priority) { change.priority = JobPriority(level) }
        change.tags = try options.decodeIfPresent([String].self, forKey: .tags) ?? []
        change.headers = try options.decodeIfPresent([String: String].self, forKey: .headers) ?? [:]
        if let delay = try seconds(.delay) { change.start = .after(delay) }
        if let instant = try options.decodeIfPresent(Int64.self, forKey: .runAt) {
            change.start = .at(Timestamp(microseconds: instant))
        }
        change.startWithin = try seconds(.startWithin)
        change.deadline = try seconds(.deadline)
        if options.contains(.timeout) { change.timeout = try seconds(.timeout) }
        if let attempts = try options.decodeIfPresent(Int.self, forKey: .maxAttempts) {
            change.retry = .attempts(attempts)
        }
        if let key = try options.decodeIfPresent(String.self, forKey: .uniqueKey) {
            let isUntilStart = try options.word(.uniqueUntil, of: ["done", "start"]) == "start"
            let refuses = try options.word(.onConflict, of: ["existing", "refuse"]) == "refuse"
            change.unique = UniqueRule(
                key: key,
                scope: try seconds(.uniqueFor).map { .forTTL($0) } ?? (isUntilStart ? .untilStart : .untilDone),
                conflict: refuses ? .throwError : .returnExisting
            )
        }
        self.change = change
    }

    /// The job that a row asks for.
    public func job(id: JobID, name: JobName, payload: [UInt8]) -> NewJob {
        NewJob(
            id: id,
            name: name,
            payload: Payload(bytes: payload, version: change.version),
            queue: change.queue,
            priority: change.priority,
            start: change.start,
            startWithin: change.startWithin,
            deadline: change.deadline,
            timeout: change.timeout,
            retry: change.retry,
            unique: change.unique,
            tags: change.tags,
            headers: change.headers
        )
    }
}

extension KeyedDecodingContainer {
    /// One of these words; the first when none is given.
    fileprivate func word(_ key: Key, of words: [String]) throws -> String {
        guard let word = try decodeIfPresent(String.self, forKey: key) else { return words[0] }
        guard words.contains(word) else {
            throw DecodingError.dataCorruptedError(
                forKey: key,
                in: self,
                debugDescription: "'\(word)' is none of \(words.joined(separator: ", "))"
            )
        }
        return word
    }
}
