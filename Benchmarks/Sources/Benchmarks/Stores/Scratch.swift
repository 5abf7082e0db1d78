// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
@_spi(Benchmarks) import ErrandPostgres
import Foundation
import RedisWire

/// A database file, schema or deployment of its own, gone at the end.
struct Scratch: Sendable {
    let target: Target
    private let folder: URL?

    /// An empty one; the store makes its schema.
    init(_ setup: Setup, on servers: Servers) throws {
        let name = "bench-\(UUID().uuidString.prefix(8).lowercased())"
        switch setup.engine {
        case .sqlite:
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("errand-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            self.folder = folder
            target = Target(setup, address: folder.appendingPathComponent("jobs.db").path, space: "-")
        case .postgres, .redis:
            guard let address = servers.address(of: setup.engine) else {
                throw VoidFigure("no \(setup.engine.rawValue) server was named")
            }
            folder = nil
            target = Target(setup, address: address, space: name)
        }
    }

    /// Makes one, runs `body` and removes it.
    static func with<Value>(
        _ setup: Setup,
        on servers: Servers,
        _ body: (Scratch) async throws -> Value
    ) async throws -> Value {
        let scratch = try Scratch(setup, on: servers)
        let value: Value
        do {
            value = try await body(scratch)
        } catch {
            await scratch.remove()
            throw error
        }
        await scratch.remove()
        return value
    }

    /// Opens it as an application does, runs `body` and closes it.
    func withStore<Value>(_ body: (any CountedStore) async throws -> Value) async throws -> Value {
        let store = try target.open()
        let value: Value
        do {
            value = try await body(store)
        } catch {
            try? await store.close()
            throw error
        }
        try await store.close()
        return value
    }

    /// How many a second plain statements store or end, in a scratch of the same setup.
    static func limit(
        _ setup: Setup,
        on servers: Servers,
        storing most: Int,
        connections: Int = 1,
        _ body: (inout any PlainJobs) async throws -> Double
    ) async throws -> Double {
        try await with(setup, on: servers) { scratch in
            // Makes the schema.
            try await scratch.withStore { _ = await $0.describe() }
            var jobs = try await scratch.target.plain(storing: most, connections: connections)
            do {
                let rate = try await body(&jobs)
                await jobs.close()
                return rate
            } catch {
                await jobs.close()
                throw error
            }
        }
    }

    /// Lets the server clean up behind what was done so far: what is measured next is the cost of what is there, not of how it
    /// came to be there.
    func settle() async throws {
        guard target.setup.engine == .postgres else { return }
        let connection = try await PostgresConnection.connect(target.address)
        try await connection.execute("VACUUM (ANALYZE) \"\(target.space)\".jobs")
        try await connection.execute("VACUUM (ANALYZE) \"\(target.space)\".deltas")
        // Only some may ask for it.
        _ = try? await connection.execute("CHECKPOINT")
        await connection.close()
    }

    /// Removes it; what cannot be removed goes with the server.
    func remove() async {
        switch target.setup.engine {
        case .sqlite: if let folder { try? FileManager.default.removeItem(at: folder) }
        case .postgres:
            guard let connection = try? await PostgresConnection.connect(target.address) else { return }
            _ = try? await connection.execute("DROP SCHEMA IF EXISTS \"\(target.space)\" CASCADE")
            // So that what this one wrote does not reach the disk while the next one is measured.
            _ = try? await connection.execute("CHECKPOINT")
            await connection.close()
        case .redis: try? await removeKeys()
        }
    }

    /// The log of what was removed is rewritten now, when there is nothing to write, and not while the next one is measured.
    private func forgetLog(_ client: RedisClient) async {
        guard (try? await client.send(RedisCommand("BGREWRITEAOF"))) != nil else { return }
        for _ in 0..<1000 {
            let facts = try? await client.send(RedisCommand("INFO", "persistence")).text
            guard facts?.contains("aof_rewrite_in_progress:1") == true else { return }
            try? await SystemClock.shared.sleep(for: .milliseconds(10))
        }
    }

    private func removeKeys() async throws {
        let client = try PlainRedis.client(target.address)
        var cursor = "0"
        repeat {
            let scan = RedisCommand("SCAN", cursor, "MATCH", "{errand:\(target.space)}:*", "COUNT", "1000")
            let answer = try await client.send(scan).elements ?? []
            cursor = answer.first?.text ?? "0"
            let keys = answer.last?.elements?.compactMap(\.text) ?? []
            if !keys.isEmpty { _ = try await client.send(RedisCommand(["DEL"] + keys)) }
        } while cursor != "0"
        await forgetLog(client)
        await client.close()
    }
}
