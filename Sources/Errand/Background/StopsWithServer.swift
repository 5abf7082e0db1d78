// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A service that must know that shutdown has begun before its turn to stop comes.
///
/// Services stop one after another, the server first. A worker should stop claiming when the server is told
/// to stop, not when the last connection is closed; the background runner starts its deadline then.
public protocol StopsWithServer: Sendable {
    /// The server stops listening. Called by `Application(router:background:)` of ErrandHummingbird, once or more
    /// often, from an event loop: it must not block. The usual call to stop gracefully still comes.
    func serverIsStopping()
}
