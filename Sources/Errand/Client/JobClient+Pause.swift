// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

extension JobClient {
    /// Stops claims of a queue, a job name or everything, on all workers, within their next claim. Running jobs
    /// go on and enqueueing still works. Durable: it survives the restart of everything.
    /// - Parameters:
    ///   - scope: What is paused.
    ///   - lasting: Ends by itself after this long; `nil` for until resumed.
    ///   - reason: Why; kept with the pause and in the audit.
    ///   - actor: Who; the client's ``JobClientConfiguration/actor`` when `nil`.
    public func pause(
        _ scope: Pause.Scope,
        lasting: Duration? = nil,
        reason: String,
        actor: String? = nil
    ) async throws {
        let actor = actor ?? configuration.actor
        try await store.setControls([.pause(scope, actor: actor, reason: reason, lasting: lasting)])
    }

    /// Ends a pause; harmless when there is none.
    public func resume(_ scope: Pause.Scope, reason: String, actor: String? = nil) async throws {
        try await store.setControls([.resume(scope, actor: actor ?? configuration.actor, reason: reason)])
    }

    /// The pauses that hold now.
    public func pauses() async throws -> [Pause] {
        try await store.pauses()
    }
}
