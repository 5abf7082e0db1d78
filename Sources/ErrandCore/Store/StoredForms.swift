// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

// How the engines write the small values of a row: lists of strings in the order of the initializers.

private func instant(_ text: String) -> Timestamp { Timestamp(microseconds: Int64(text) ?? 0) }

extension Hold {
    package var stored: String {
        FlatJSON.text([actor, reason, "\(since.microseconds)"] + (until.map { ["\($0.microseconds)"] } ?? []))
    }

    package init(stored fields: [String]) throws(StoreError) {
        guard fields.count >= 3 else { throw .unreadable("hold") }
        self.init(
            actor: fields[0],
            reason: fields[1],
            since: instant(fields[2]),
            until: fields.count > 3 ? instant(fields[3]) : nil
        )
    }
}

extension CancelRequest {
    package var stored: String { FlatJSON.text([actor, reason, "\(at.microseconds)"]) }

    package init(stored fields: [String]) throws(StoreError) {
        guard fields.count == 3 else { throw .unreadable("cancel request") }
        self.init(actor: fields[0], reason: fields[1], at: instant(fields[2]))
    }
}

extension JobProgress {
    package var stored: String { FlatJSON.text(["\(fraction)", message, "\(at.microseconds)"]) }

    package init(stored fields: [String]) throws(StoreError) {
        guard fields.count == 3, let fraction = Double(fields[0]) else { throw .unreadable("progress") }
        self.init(fraction: fraction, message: fields[1], at: instant(fields[2]))
    }
}

extension StoredError {
    package var stored: String { FlatJSON.text([type, message] + (backtrace.map { [$0] } ?? [])) }

    package init(stored fields: [String]) throws(StoreError) {
        guard fields.count >= 2 else { throw .unreadable("error") }
        self.init(type: fields[0], message: fields[1], backtrace: fields.count > 2 ? fields[2] : nil)
    }
}

extension UniqueRule.Scope {
    /// 0 until start, 1 until done, 2 for a time.
    package var stored: Int64 {
        switch self {
        case .untilStart: 0
        case .untilDone: 1
        case .forTTL: 2
        }
    }

    package init(stored: Int64, ttl: Int64) {
        switch stored {
        case 0: self = .untilStart
        case 2: self = .forTTL(.microseconds(ttl))
        default: self = .untilDone
        }
    }
}

extension UniqueRule.Conflict {
    /// 0 existing, 1 refuse, 2 run again, 3 + 16 × fields replace.
    package var stored: Int64 {
        switch self {
        case .returnExisting: 0
        case .throwError: 1
        case .runAgainAfter: 2
        case .replacePending(let fields): 3 + 16 * Int64(fields.rawValue)
        }
    }

    package init(stored: Int64) {
        switch stored & 15 {
        case 1: self = .throwError
        case 2: self = .runAgainAfter
        case 3: self = .replacePending(ReplaceableFields(rawValue: Int(stored >> 4)))
        default: self = .returnExisting
        }
    }
}

extension Payload.Format {
    /// NULL for the format of nearly every row.
    package var stored: String? { self == .json ? nil : rawValue }
}

extension Pause.Scope {
    package var stored: String {
        switch self {
        case .everything: "everything"
        case .queue(let queue): "queue:\(queue.rawValue)"
        case .name(let name): "name:\(name.rawValue)"
        }
    }

    package init?(stored: String) {
        if stored == "everything" {
            self = .everything
        } else if stored.hasPrefix("queue:") {
            self = .queue(QueueName(String(stored.dropFirst(6))))
        } else if stored.hasPrefix("name:") {
            self = .name(JobName(String(stored.dropFirst(5))))
        } else {
            return nil
        }
    }
}

extension StoreError {
    package static func unreadable(_ what: String) -> StoreError {
        StoreError(.corrupt, "a stored \(what) is not what this build writes; restore a backup")
    }
}
