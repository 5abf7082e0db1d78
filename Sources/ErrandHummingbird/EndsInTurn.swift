// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ServiceLifecycle

/// A service that is told early to stop, and of whose end the service group hears only when it is its turn.
///
/// A group takes a service that ends before it was asked to for a failure, during shutdown too, and cancels all
/// others: requests that are being answered and tasks that drain with them.
struct EndsInTurn: Service, CustomStringConvertible {
    let base: any Service & StopsWithServer

    /// The name that the group logs.
    var description: String { "\(base)" }

    /// This service, wrapped if it stops with the server.
    static func wrapping(_ service: any Service) -> any Service {
        guard let base = service as? any Service & StopsWithServer else { return service }
        return EndsInTurn(base: base)
    }

    /// Runs the service, then waits for the group's signal.
    /// - Throws: What the service throws, at once: that is a failure whenever it comes.
    func run() async throws {
        try await base.run()
        // Throws when the group is cancelled, and then it is everybody's turn.
        try? await gracefulShutdown()
    }
}
