// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

/// Where a part of a move goes on.
///
/// Work that is ready goes first, queue after queue in the order in which it would be claimed; then what is due later; then
/// whatever else is left, by id: held jobs, and what a look before had to leave.
enum RedisExportPlace: Equatable {
    case ready(QueueName)
    case due(QueueName)
    case rest(after: JobID?)
    case keys(skipped: Int)
    case audit
    case series(minute: Int64)

    init(_ part: ExportRequest.Part, after text: String?) {
        switch part {
        case .pending: self = .ready(QueueName(""))
        case .finished: self = .rest(after: nil)
        case .records: self = .keys(skipped: 0)
        }
        guard let text, let split = text.firstIndex(of: ":") else { return }
        let rest = String(text[text.index(after: split)...])
        switch (text[..<split], part) {
        case ("ready", .pending): self = .ready(QueueName(rest))
        case ("due", .pending): self = .due(QueueName(rest))
        case ("rest", .pending), ("rest", .finished): self = .rest(after: JobID(rest))
        case ("keys", .records): self = .keys(skipped: max(Int(rest) ?? 0, 0))
        case ("audit", .records): self = .audit
        case ("series", .records): self = .series(minute: Int64(rest) ?? 0)
        default: break
        }
    }

    /// The word for ExportBatch/next.
    var text: String {
        switch self {
        case .ready(let queue): "ready:\(queue.rawValue)"
        case .due(let queue): "due:\(queue.rawValue)"
        case .rest(let id): "rest:\(id.map(\.description) ?? "")"
        case .keys(let skipped): "keys:\(skipped)"
        case .audit: "audit:"
        case .series(let minute): "series:\(minute)"
        }
    }
}
