// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import ErrandPostgres
import TestServers
import Testing

@Suite("PostgreSQL: connections", .timeLimit(.minutes(1)))
struct PostgresConnectionTests {
    private struct Undone: Error {}

    @Test("values of every kind arrive as they were sent, and NULL as nothing")
    func values() async throws {
        let connection = try await PostgresBench().connect()
        let id = try #require(JobID("01a20098-0021-796a-9614-f61c29cb92aa"))
        let rows = try await connection.execute(
            "SELECT $1::bigint, $2, encode($3, 'hex'), $4, $5, $6::text, $7::text, $8::text, $9::bigint, $10",
            [
                .int(.min), .text("O'Hara; é"), .bytes([0, 255]), .uuid(id), .bool(true), .ints([1, nil, -1]),
                .texts(["a", "", nil]), .uuids([id]), .int(nil), .text(""),
            ]
        )
        let wanted: [String?] = [
            "-9223372036854775808", "O'Hara; é", "00ff", id.description, "t", "{1,NULL,-1}", "{a,\"\",NULL}",
            "{\(id)}", nil, "",
        ]
        #expect(rows == [wanted])
        let empty = try await connection.execute("SELECT cardinality($1), cardinality($2)", [.ints([]), .blobs([])])
        #expect(empty == [["0", "0"]])
        await connection.close()
    }

    @Test("a transaction is all or nothing, and over when its closure is")
    func transactions() async throws {
        let connection = try await PostgresBench().connect()
        try await connection.execute("CREATE TEMPORARY TABLE notes (n bigint)")
        await #expect(throws: Undone.self) {
            try await connection.transaction { transaction in
                try await transaction.execute("INSERT INTO notes VALUES ($1)", [.int(1)])
                throw Undone()
            }
        }
        let kept = try await connection.transaction { transaction in
            try await transaction.execute("INSERT INTO notes VALUES (2)")
            return transaction
        }
        #expect(try await connection.execute("SELECT n FROM notes") == [["2"]])
        let error = await storeError("a transaction that is over") { try await kept.execute("SELECT 1") }
        #expect(error?.code == .invalid)
        await connection.close()
        #expect(await storeError("a closed connection") { try await connection.execute("SELECT 1") }?.code == .closed)
    }

    @Test("an error in a statement leaves the connection usable")
    func mistakes() async throws {
        let connection = try await PostgresBench().connect()
        for _ in 0..<2 {
            #expect(await storeError("a mistake") { try await connection.execute("SELEC 1") }?.code == .unavailable)
        }
        #expect(try await connection.execute("SELECT 1") == [["1"]])
        await connection.close()
    }

    @Test("a statement under way can be stopped from elsewhere")
    func cancels() async throws {
        let bench = try PostgresBench()
        let (connection, observer) = (try await bench.connect(), try await bench.connect())
        let pid = try await connection.execute("SELECT pg_backend_pid()")[0][0] ?? ""
        async let error = storeError("a stopped statement") { try await connection.execute("SELECT pg_sleep(60)") }
        // Until the server says that it runs.
        while try await observer.execute(
            "SELECT FROM pg_stat_activity WHERE pid = \(pid) AND state = 'active' AND query LIKE '%pg_sleep%'"
        )
        .isEmpty {}
        connection.cancel()
        #expect(await error?.message.contains("was stopped") == true)
        #expect(try await connection.execute("SELECT 1") == [["1"]])
        await connection.close()
        await observer.close()
    }

    @Test("TLS is checked against the certificate chain and the name of the server")
    func encryption() async throws {
        let server = try TLSServer()
        defer { server.remove() }
        let good = try await PostgresConnection.connect(server.url(host: "localhost", root: server.root))
        let rows = try await good.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        #expect(rows == [["t"]])
        await good.close()
        for (host, root) in [("localhost", server.otherRoot), ("127.0.0.1", server.root)] {
            let error = await storeError("a wrong certificate") {
                _ = try await PostgresConnection.connect(server.url(host: host, root: root))
            }
            #expect(error?.code == .unavailable)
            #expect(error?.message.contains("TLS") == true, "\(String(describing: error))")
        }
    }
}
