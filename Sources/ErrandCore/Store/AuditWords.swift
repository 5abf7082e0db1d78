// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension Operation.Action {
    /// The action's word in the audit.
    package var word: String {
        switch self {
        case .cancel: "cancel"
        case .retry: "retry"
        case .edit: "edit"
        case .editAndRetry: "edit and retry"
        case .delete: "delete"
        case .hold: "hold"
        case .release: "release"
        }
    }
}

extension Operation.Selection {
    /// The selection in words for the audit.
    package var words: String {
        switch self {
        case .ids(let ids) where ids.count == 1: "job \(ids[0])"
        case .ids(let ids): "\(ids.count) jobs"
        case .filter: "jobs by filter"
        }
    }
}

extension Pause.Scope {
    /// What is paused, in words for the audit.
    package var words: String {
        switch self {
        case .everything: "everything"
        case .queue(let name): "queue \(name)"
        case .name(let name): "name \(name)"
        }
    }
}
