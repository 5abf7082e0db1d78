// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Errand
@_spi(Benchmarks) import ErrandPostgres
@_spi(Benchmarks) import ErrandRedis
@_spi(Benchmarks) import ErrandSQLite

/// A store that counts what it asks of its engine.
protocol CountedStore: JobStore {
    /// Transactions or scripts that may write.
    var commitCount: Int { get }
    /// All, those that only read too.
    var callCount: Int { get }
}

extension SQLiteStore: CountedStore {}
extension PostgresStore: CountedStore {}
extension RedisStore: CountedStore {}

/// Where the jobs of one measurement are, as a process tells it to those that it starts.
struct Target: ParsableArguments {
    @Argument var setup: Setup
    /// A file, or the address of a server.
    @Argument var address: String
    /// The schema or deployment on a server.
    @Argument var space: String

    var words: [String] { [setup.rawValue, address, space] }

    init() {}

    init(_ setup: Setup, address: String, space: String) {
        (self.setup, self.address, self.space) = (setup, address, space)
    }

    /// Opens it as an application does.
    func open() throws -> any CountedStore {
        switch setup {
        case .powerLoss:
            try SQLiteStore(path: address, configuration: SQLiteConfiguration(durability: .powerLoss))
        case .processCrash:
            try SQLiteStore(path: address, configuration: SQLiteConfiguration(durability: .processCrash))
        case .postgres: try PostgresStore(url: address, configuration: PostgresConfiguration(schema: space))
        case .redis: try RedisStore(url: address, configuration: RedisStoreConfiguration(name: space))
        }
    }

    /// Plain statements on the same schema, with so many connections.
    func plain(storing count: Int, connections: Int = 1) async throws -> any PlainJobs {
        switch setup.engine {
        case .sqlite: try PlainSQLite(self, storing: count)
        case .postgres: try await PlainPostgres(self, storing: count, connections: connections)
        case .redis: try await PlainRedis(self, storing: count, connections: connections)
        }
    }
}
