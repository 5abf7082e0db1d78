// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

#if canImport(Glibc)
public import Glibc
#elseif canImport(Darwin)
public import Darwin
#endif

/// A private PostgreSQL server in a temporary folder, on a free port of 127.0.0.1, as an ordinary user.
public final class PostgresServer: Sendable {
    public let folder: String
    public let superuser = "errand"
    private let bin: String
    private let reserved: ReservedPort
    private let process = Mutex<ChildProcess?>(nil)

    private static let made = Mutex<Result<PostgresServer, TestServerError>?>(nil)

    /// The server that the suites of this process share; started by the first that asks.
    public static func shared() throws -> PostgresServer {
        try made.withLock { made in
            if made == nil {
                do {
                    made = .success(try PostgresServer(settings: ["fsync = off", "max_connections = 300"]))
                } catch let error as TestServerError {
                    made = .failure(error)
                }
            }
            return try made!.get()
        }
    }

    /// A server of its own, for tests that kill or freeze it.
    /// - Parameter settings: Lines of `postgresql.conf`.
    public init(settings: [String] = []) throws {
        let initdb = try TestMachine.program("initdb", in: Self.folders, install: Self.install)
        bin = URL(fileURLWithPath: initdb).deletingLastPathComponent().path
        folder = try TestMachine.folder("pg")
        reserved = try ReservedPort()
        try ChildProcess.run(
            initdb,
            [
                "-D", "\(folder)/data", "-U", superuser, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync",
            ],
            user: TestMachine.serverUser
        )
        let lines =
            [
                "listen_addresses = '127.0.0.1'", "port = \(port)", "unix_socket_directories = '\(folder)'",
                "max_connections = 100", "shared_buffers = 64MB", "fsync = on", "synchronous_commit = on",
                "log_min_messages = warning", "max_wal_size = 1GB", "wal_level = replica",
            ] + settings
        try append(lines.joined(separator: "\n") + "\n", to: "data/postgresql.conf")
        try start()
    }

    private static let install = "apt-get install postgresql (or brew install postgresql)"
    private static var folders: [String] {
        // Debian and Homebrew keep each version in a folder of its own, which is not on the PATH.
        let (debian, homebrew) = ("/usr/lib/postgresql", "/opt/homebrew/opt")
        let names = { (folder: String) in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] }
        let versions = names(debian).sorted { (Int($0) ?? 0) > (Int($1) ?? 0) }.map { "\(debian)/\($0)/bin" }
        return versions + names(homebrew).filter { $0.hasPrefix("postgresql@") }.map { "\(homebrew)/\($0)/bin" }
    }

    public var port: Int { reserved.number }

    private func append(_ text: String, to file: String) throws {
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(folder)/\(file)"))
        defer { try? handle.close() }
        try handle.seekToEnd()
        try handle.write(contentsOf: Data(text.utf8))
    }

    /// A URL for a database of this server.
    public func url(database: String = "postgres", user: String? = nil, password: String? = nil) -> String {
        let login = (user ?? superuser) + (password.map { ":\($0)" } ?? "")
        return "postgres://\(login)@127.0.0.1:\(port)/\(database)?sslmode=prefer"
    }

    // MARK: Its life

    /// Starts it and waits until it answers.
    public func start() throws {
        var setup = ChildProcess.Setup()
        setup.user = TestMachine.serverUser
        setup.ending = SIGQUIT
        let started = try ChildProcess("\(bin)/postgres", ["-D", "\(folder)/data"], setup)
        process.withLock { $0 = started }
        try started.until("database system is ready to accept connections")
    }

    /// Ends it. `SIGINT` rolls transactions back, `SIGQUIT` is a crash of all its processes, `SIGKILL` one that leaves
    /// its children to find out.
    public func stop(_ signal: Int32 = SIGINT) {
        guard let ended = process.withLock({ $0.take() }) else { return }
        ended.signal(signal)
        ended.wait()
        if signal == SIGKILL { try? FileManager.default.removeItem(atPath: "\(folder)/data/postmaster.pid") }
    }

    public func restart(_ signal: Int32 = SIGINT) throws {
        stop(signal)
        try start()
    }

    /// Stops the server's processes where they are: connections stay open and nothing answers.
    public func freeze() { signalAll(SIGSTOP) }

    /// Lets them go on.
    public func thaw() { signalAll(SIGCONT) }

    private func signalAll(_ signal: Int32) {
        guard let parent = process.withLock({ $0?.id }) else { return }
        kill(parent, signal)
        for child in Self.children(of: parent) { kill(child, signal) }
    }

    private static func children(of parent: pid_t) -> [pid_t] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.compactMap { pid_t($0) }
            .filter { child in
                let stat = (try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8)) ?? ""
                guard let end = stat.lastIndex(of: ")") else { return false }
                let fields = stat[stat.index(after: end)...].split(separator: " ")
                return fields.count > 1 && pid_t(fields[1]) == parent
            }
    }

    /// Ends it and removes its files.
    public func remove() {
        thaw()
        stop(SIGQUIT)
        try? FileManager.default.removeItem(atPath: folder)
    }

    // MARK: Asking

    /// Runs SQL with psql and answers with what it prints, unaligned and without headers.
    /// - Throws: ``TestServerError`` with what psql said.
    @discardableResult
    public func psql(_ sql: String, database: String = "postgres", user: String? = nil) throws -> String {
        try ChildProcess.run(
            "\(bin)/psql",
            [
                "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", "\(port)", "-U",
                user ?? superuser,
                "-d", database, "-c", sql,
            ]
        )
        .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Writes a file of the server, which only its user can read.
    public func write(_ text: String, to file: String) throws {
        let path = "\(folder)/\(file)"
        try text.write(toFile: path, atomically: false, encoding: .utf8)
        chmod(path, 0o600)
        if geteuid() == 0, let user = TestMachine.serverUser { chown(path, user.id, user.group) }
    }

    /// Writes a line before all others of `pg_hba.conf` and reads it in.
    public func allow(_ line: String) throws {
        let file = "\(folder)/data/pg_hba.conf"
        let old = try String(contentsOfFile: file, encoding: .utf8)
        try (line + "\n" + old).write(toFile: file, atomically: false, encoding: .utf8)
        try psql("SELECT pg_reload_conf()")
    }
}
