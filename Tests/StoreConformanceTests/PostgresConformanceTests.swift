// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandPostgres
import ErrandTesting
import Foundation
import Synchronization
import TestServers
import Testing

@Suite("PostgreSQL conforms", .serialized, .timeLimit(.minutes(10)))
struct PostgresConformanceTests {
    private static let number = Mutex(0)

    /// A fresh schema, with a name that has to be quoted.
    private static func schema() -> String {
        let next = number.withLock { number in
            number += 1
            return number
        }
        return "Errand's \"case\" \(next)"
    }

    @Test("directly", arguments: StoreConformance.cases)
    func directly(_ example: StoreConformance.Case) async throws {
        let server = try PostgresServer.shared()
        try await run(example, server.url(), server)
    }

    @Test("through PgBouncer in transaction mode", arguments: StoreConformance.cases)
    func pooled(_ example: StoreConformance.Case) async throws {
        let server = try PostgresServer.shared()
        try await run(example, try PgBouncerServer.shared().url(), server)
    }

    private func run(_ example: StoreConformance.Case, _ url: String, _ server: PostgresServer) async throws {
        var configuration = PostgresConfiguration(schema: Self.schema())
        configuration.connections = 2
        configuration.wakeUp = .poll
        let open: StoreConformance.Factory = { [configuration] clock in
            try PostgresStore(url: url, configuration: configuration, clock: clock)
        }
        try await example.run(make: open, reopen: open)
        let quoted = "\"" + configuration.schema.replacingOccurrences(of: "\"", with: "\"\"") + "\""
        let connection = try await PostgresConnection.connect(server.url())
        try await connection.execute("DROP SCHEMA IF EXISTS \(quoted) CASCADE")
        await connection.close()
    }
}
