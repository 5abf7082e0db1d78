// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

/// What is known of the server, as it said itself.
final class PostgresFacts: Sendable {
    private struct Known {
        var version = "unknown"
        var schema = 0
        var durability = StoreDescription.Durability.powerLoss
        var identity: JobID?
        var warnings: [String] = []
    }

    private let known = Mutex(Known())

    /// Run on each new connection: the first one also brings the schema up to date.
    func greet(_ link: PostgresLink, _ configuration: PostgresConfiguration, _ shared: PostgresShared) throws {
        // Asked each time: after a failover the server may be another one.
        let number = try PostgresMigrations.prepare(
            link,
            schema: configuration.schema,
            migrates: configuration.migrates
        )
        let identity = try link.query(shared.statements[PostgresQuery.identity.rawValue])
        known.withLock { known in
            known.schema = number
            known.version = link.setting("server_version") ?? "unknown"
            known.identity = identity.count == 1 ? identity.id(0, 0) : nil
        }
    }

    /// The name that tells the schema from all others; `nil` before the first connection.
    var identity: JobID? { known.withLock { $0.identity } }

    /// Reads the settings on which promises rest, from the server and not from a configuration.
    func look(_ link: PostgresLink) throws {
        let names = ["fsync", "synchronous_commit", "full_page_writes", "transaction_read_only"]
        let result = try link.query(
            "SELECT \(names.map { "current_setting('\($0)')" }.joined(separator: ", "))"
        )
        let isOn = { (column: Int) in result.text(0, column) != "off" }
        var warnings: [String] = []
        var durability = StoreDescription.Durability.powerLoss
        if !isOn(0) || !isOn(2) {
            durability = .processCrash
            warnings.append(
                "the server runs with fsync or full_page_writes off: a power cut can damage the database; switch them on"
            )
        }
        if !isOn(1) {
            durability = .none
            warnings.append(
                "the session has synchronous_commit=off: a crash of the server loses what was acknowledged in its last "
                    + "second; switch it on for this user"
            )
        }
        if isOn(3) { warnings.append("the server is read-only: nothing can be stored until the failover is over") }
        known.withLock { known in
            known.durability = durability
            known.warnings = warnings
        }
    }

    func description(adding warnings: [String]) -> StoreDescription {
        known.withLock { known in
            StoreDescription(
                engine: "postgres",
                engineVersion: known.version,
                schemaVersion: known.schema,
                durability: known.durability,
                isShared: true,
                hasTransactions: true,
                warnings: known.warnings + warnings
            )
        }
    }
}
