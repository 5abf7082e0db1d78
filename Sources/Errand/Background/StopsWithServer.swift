// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

/// A service that must know that shutdown has begun before its turn to stop comes.
///
/// Services stop one after another, the server first. A worker should stop claiming when the server is told
/// to stop, not when the last connection is closed; the background runner starts its deadline then.
///
/// Its `run()` may return as soon as it has stopped: `Application(router:background:)` of ErrandHummingbird lets
/// the service group know of it only when it is its turn. In a group of your own it must wait for
/// `gracefulShutdown()` first, because a group cancels everything when a service ends early.
public protocol StopsWithServer: Sendable {
    /// The server stops listening. Called by `Application(router:background:)` of ErrandHummingbird, once or more
    /// often, from an event loop: it must not block. The usual call to stop gracefully still comes.
    func serverIsStopping()
}
