// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A durable instruction of an operator to all workers: for now, pauses.
///
/// Pausing stops claims; running jobs go on and enqueueing still works. It survives the restart of
/// everything and ends by itself at `until`.
public struct Pause: Sendable, Hashable, Codable {
    /// What is paused.
    public enum Scope: Sendable, Hashable, Codable {
        /// Every job of the store.
        case everything
        /// The jobs of one queue.
        case queue(QueueName)
        /// The jobs of one name.
        case name(JobName)
    }

    /// What is paused.
    public var scope: Scope
    /// Who paused it.
    public var actor: String
    /// Why.
    public var reason: String
    /// Since when, in store time.
    public var since: Timestamp
    /// When it ends by itself; `nil` for never.
    public var until: Timestamp?

    /// A pause.
    public init(scope: Scope, actor: String, reason: String, since: Timestamp, until: Timestamp? = nil) {
        self.scope = scope
        self.actor = actor
        self.reason = reason
        self.since = since
        self.until = until
    }

    /// Whether it holds at `now` for a job of this queue and name.
    public func covers(queue: QueueName, name: JobName, at now: Timestamp) -> Bool {
        if let until, until <= now { return false }
        switch scope {
        case .everything: return true
        case .queue(let paused): return paused == queue
        case .name(let paused): return paused == name
        }
    }
}

/// A change of controls.
public enum ControlChange: Sendable, Hashable {
    /// Pauses, or changes an existing pause of the same scope. `lasting` is how long; `nil` for until resumed.
    case pause(Pause.Scope, actor: String, reason: String, lasting: Duration?)
    /// Ends the pause of this scope; nothing happens when there is none.
    case resume(Pause.Scope, actor: String, reason: String)
}
