// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

#if canImport(Glibc)
public import Glibc
#elseif canImport(Darwin)
public import Darwin
#endif

/// A private PgBouncer in transaction mode before a ``PostgresServer``.
public final class PgBouncerServer: Sendable {
    private let folder: String
    private let reserved: ReservedPort
    private let process = Mutex<ChildProcess?>(nil)
    private let program: String

    private static let made = Mutex<Result<PgBouncerServer, TestServerError>?>(nil)

    /// The pooler before the shared server; started by the first that asks.
    public static func shared() throws -> PgBouncerServer {
        let server = try PostgresServer.shared()
        return try made.withLock { made in
            if made == nil {
                do {
                    made = .success(try PgBouncerServer(before: server))
                } catch let error as TestServerError {
                    made = .failure(error)
                }
            }
            return try made!.get()
        }
    }

    public init(before server: PostgresServer) throws {
        program = try TestMachine.program(
            "pgbouncer",
            in: ["/usr/sbin", "/usr/local/bin"],
            install: "apt-get install pgbouncer (or brew install pgbouncer)"
        )
        folder = try TestMachine.folder("bouncer")
        reserved = try ReservedPort()
        let settings = """
            [databases]
            * = host=127.0.0.1 port=\(server.port)
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = \(reserved.number)
            unix_socket_dir =
            auth_type = any
            pool_mode = transaction
            max_client_conn = 1000
            default_pool_size = 10
            [users]
            """
        let forced = settings.replacingOccurrences(
            of: "port=\(server.port)\n",
            with: "port=\(server.port) user=\(server.superuser)\n"
        )
        try forced.write(toFile: "\(folder)/pgbouncer.ini", atomically: false, encoding: .utf8)
        try start()
    }

    public func start() throws {
        var setup = ChildProcess.Setup()
        setup.user = TestMachine.serverUser
        let started = try ChildProcess(program, ["\(folder)/pgbouncer.ini"], setup)
        process.withLock { $0 = started }
        try started.until("process up")
    }

    public var port: Int { reserved.number }

    public func url(database: String = "postgres", user: String = "errand") -> String {
        "postgres://\(user)@127.0.0.1:\(port)/\(database)?sslmode=disable"
    }

    public func stop(_ signal: Int32 = SIGKILL) {
        guard let ended = process.withLock({ $0.take() }) else { return }
        ended.signal(signal)
        ended.wait()
    }

    public func remove() {
        stop()
        try? FileManager.default.removeItem(atPath: folder)
    }
}
