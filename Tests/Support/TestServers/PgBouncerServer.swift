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
    public let port: Int
    private let folder: String
    private let process = Mutex<ServerProcess?>(nil)
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
        port = try TestMachine.freePort()
        let settings = """
            [databases]
            * = host=127.0.0.1 port=\(server.port)
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = \(port)
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
        let started = try ServerProcess(
            program,
            ["\(folder)/pgbouncer.ini"],
            log: "\(folder)/log",
            user: TestMachine.serverUser
        )
        process.withLock { $0 = started }
        for _ in 0..<200 {
            if Self.answers(port) { return }
            if started.hasEnded { break }
            poll(nil, 0, 25)
        }
        let text = (try? String(contentsOfFile: "\(folder)/log", encoding: .utf8)) ?? ""
        throw TestServerError("PgBouncer did not start: \(text.suffix(2000))")
    }

    private static func answers(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        address.sin_port = UInt16(port).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                connect(descriptor, raw, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

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
