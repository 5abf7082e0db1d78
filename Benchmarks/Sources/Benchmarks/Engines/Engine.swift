// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Errand

/// What keeps the jobs.
enum Engine: String, CaseIterable, Sendable, ExpressibleByArgument {
    case sqlite, postgres, redis
}

/// An engine with what an acknowledged write survives there. Every figure of a store is asked for each of them.
///
/// The raw value is its part of the names of figures; those of SQLite are older than the others and say no engine.
enum Setup: String, CaseIterable, Sendable, ExpressibleByArgument {
    /// SQLite, `synchronous=FULL`.
    case powerLoss
    /// SQLite, `synchronous=NORMAL`.
    case processCrash
    /// PostgreSQL as it comes: `synchronous_commit=on`, `fsync=on`.
    case postgres = "postgres powerLoss"
    /// Redis with `appendonly yes`, `appendfsync everysec`: a crash of the machine may lose a second.
    case redis = "redis everysec"

    var engine: Engine {
        switch self {
        case .powerLoss, .processCrash: .sqlite
        case .postgres: .postgres
        case .redis: .redis
        }
    }

    /// Behind the names of figures that SQLite has for one durability only.
    var suffix: String { self == .powerLoss ? "" : ", \(rawValue)" }

    /// The numbers of worker processes that are measured beside the one worker in the process of the benchmark.
    var processes: [Int] { engine == .sqlite ? [2] : [2, 4] }

    /// How often a process may ask for the counts while others work: on a server every question is work of the server.
    var askInterval: Duration { engine == .sqlite ? .milliseconds(1) : .milliseconds(5) }
}

/// The servers to measure; SQLite needs none.
struct Servers: ParsableArguments {
    @Option(help: "A PostgreSQL server for schemas that come and go: postgres://user@host:port/database.")
    var postgres: String?

    @Option(help: "A Redis server for deployments that come and go: redis://host:port.")
    var redis: String?

    /// Where the jobs of an engine go; `nil` when no server was named.
    func address(of engine: Engine) -> String? {
        switch engine {
        case .sqlite: ""
        case .postgres: postgres
        case .redis: redis
        }
    }
}
