// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandPostgres
import Foundation
import TestServers
import Testing

@Suite("PostgreSQL: errors say what to do", .serialized, .timeLimit(.minutes(2)))
struct PostgresErrorTests {
    private func expect(
        _ code: StoreError.Code,
        _ words: String,
        from url: String,
        _ change: @escaping (inout PostgresConfiguration) -> Void = { _ in },
        at location: SourceLocation = #_sourceLocation
    ) async throws {
        let bench = try PostgresBench()
        let store = try bench.open(url) {
            $0.schema = "errors"
            change(&$0)
        }
        let error = await storeError(url) { _ = try await store.counts() }
        #expect(error?.code == code, "\(String(describing: error))", sourceLocation: location)
        #expect(
            error?.message.contains(words) == true,
            "\(String(describing: error)) should say '\(words)'",
            sourceLocation: location
        )
        #expect(error?.cause != nil || code != .unavailable, sourceLocation: location)
        try await store.close()
    }

    @Test("an address that cannot be read is refused when the store is made")
    func address() async throws {
        let error = await storeError("a bad address") { _ = try PostgresStore(url: "localhost shop") }
        #expect(error?.code == .invalid)
        #expect(error?.message.contains("give a URL") == true)
        let schema = await storeError("a bad schema") {
            _ = try PostgresStore(url: "host=x", configuration: PostgresConfiguration(schema: "pg_jobs"))
        }
        #expect(schema?.code == .invalid)
    }

    @Test("a wrong password, an unknown user, and a user who may not come in")
    func login() async throws {
        let server = try PostgresServer.shared()
        try server.psql("DROP ROLE IF EXISTS kim; CREATE ROLE kim LOGIN PASSWORD 'right'")
        try server.psql("DROP ROLE IF EXISTS eve; CREATE ROLE eve LOGIN")
        try server.allow("host all kim 127.0.0.1/32 scram-sha-256\nhost all eve 127.0.0.1/32 reject")
        try await expect(
            .unavailable,
            "refuses the user or the password",
            from: server.url(user: "kim", password: "wrong")
        )
        try await expect(.unavailable, "refuses the user or the password", from: server.url(user: "kim"))
        try await expect(.unavailable, "does not know the user", from: server.url(user: "nobody_here"))
        try await expect(.unavailable, "pg_hba.conf", from: server.url(user: "eve"))
    }

    @Test("an unknown host, a port where nobody listens, and a database that is not there")
    func place() async throws {
        let server = try PostgresServer.shared()
        try await expect(.unavailable, "host of PostgreSQL is unknown", from: "postgres://no-such-host.invalid/x")
        let free = try ReservedPort()
        try await expect(.unavailable, "cannot be reached", from: "postgres://127.0.0.1:\(free.number)/x")
        try await expect(.notFound, "database does not exist", from: server.url(database: "nowhere"))
    }

    @Test("a server that is older than 13")
    func oldServer() async throws {
        let server = try PostgresServer.shared()
        let version = try server.psql("SHOW server_version")
        let major = try #require(version.split(separator: ".").first)
        let proxy = try await FaultProxy.start(to: .port(server.port))
        try proxy.rewrite("server_version\0\(major).", as: "server_version\0\("12".prefix(major.count)).")
        let url = server.url().replacing(":\(server.port)/", with: ":\(proxy.port)/")
            .replacing("sslmode=prefer", with: "sslmode=disable")
        try await expect(.incompatible, "needs 13 or newer", from: url)
        try await proxy.close()
    }

    @Test("a user without privileges, on a schema that is there and on one that is not")
    func privileges() async throws {
        let server = try PostgresServer.shared()
        try server.psql(
            "DROP ROLE IF EXISTS low; CREATE ROLE low LOGIN; REVOKE CREATE ON DATABASE postgres FROM PUBLIC"
        )
        try await expect(.unavailable, "lacks a privilege", from: server.url(user: "low")) { $0.schema = "not_mine" }
        let bench = try PostgresBench()
        let store = try bench.open()
        _ = try await store.counts()
        try await expect(.unavailable, "lacks a privilege", from: server.url(user: "low")) { $0.schema = bench.schema }
        try await store.close()
    }

    @Test("a server that is read-only")
    func readOnly() async throws {
        let server = try PostgresServer.shared()
        let bench = try PostgresBench()
        let store = try bench.open()
        _ = try await store.counts()
        try server.psql("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN SUPERUSER")
        try server.psql("ALTER ROLE reader SET default_transaction_read_only = on")
        let reader = try bench.open(server.url(user: "reader"))
        let error = await storeError("an insert") { _ = try await reader.insert([bench.job()], offer: nil) }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("read-only") == true)
        #expect(await reader.describe().warnings.contains { $0.contains("read-only") })
        try await reader.close()
        try await store.close()
    }

    @Test("a server without a free connection")
    func connections() async throws {
        let server = try PostgresServer.shared()
        try server.psql("DROP ROLE IF EXISTS few; CREATE ROLE few LOGIN SUPERUSER CONNECTION LIMIT 0")
        try server.psql("ALTER ROLE few NOSUPERUSER")
        try await expect(.unavailable, "no free connection", from: server.url(user: "few"))
    }

    @Test("a schema that a newer build wrote, and one that nobody may migrate")
    func schema() async throws {
        let bench = try PostgresBench()
        let url = bench.server.url()
        try await expect(.incompatible, "run its migrations", from: url) {
            $0.schema = bench.schema
            $0.migrates = false
        }
        let store = try bench.open()
        _ = try await store.counts()
        try bench.server.psql("INSERT INTO \(bench.schema).migrations (number, oldest) VALUES (900, 2)")
        let older = try bench.open()
        _ = try await older.counts()
        try await older.close()
        try bench.server.psql("INSERT INTO \(bench.schema).migrations (number, oldest) VALUES (901, 901)")
        try await expect(.incompatible, "start a newer build", from: url) { $0.schema = bench.schema }
        try await store.close()
    }

    @Test("all connections are busy for too long")
    func busy() async throws {
        let bench = try PostgresBench()
        let store = try bench.open {
            $0.connections = 1
            $0.connectionWait = .milliseconds(100)
            $0.lockTimeout = .seconds(20)
        }
        let id = bench.id()
        _ = try await store.insert([bench.job { $0.id = id }], offer: nil)
        let connection = try await bench.connect()
        let error = try await connection.transaction { transaction in
            try await transaction.execute("SELECT FROM \(bench.schema).jobs FOR UPDATE")
            async let blocked = store.operate(Operation(.delete, on: .ids([id]), actor: "ada", reason: "test"))
            // The one connection waits for the row; who comes now finds none.
            var error: StoreError?
            while error == nil {
                do { _ = try await store.counts() } catch { _ = 0 }
                do { _ = try await store.counts() } catch let thrown as StoreError { error = thrown }
            }
            try await transaction.execute(
                """
                SELECT pg_cancel_backend(pid) FROM pg_stat_activity \
                WHERE wait_event_type = 'Lock' AND query LIKE '%"\(bench.schema)".%'
                """
            )
            _ = try? await blocked
            return error
        }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("all connections") == true)
        try await store.close()
    }
}
