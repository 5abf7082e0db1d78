// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A private Redis or Valkey server on a free port of 127.0.0.1, with its files in a temporary folder; ended with the process.
public final class RedisServer: Sendable {
    /// How it is set up.
    public struct Options: Sendable {
        /// Settings as on the command line: `["appendonly": "yes"]`.
        public var settings: [String: String] = [:]
        /// Whether it speaks TLS, with certificates made for it.
        public var usesTLS = false
        /// What the certificate is for.
        public var names = "DNS:localhost,IP:127.0.0.1"

        /// A server with an append-only file that is flushed once a second.
        public init(_ settings: [String: String] = [:], usesTLS: Bool = false) {
            self.settings = settings
            self.usesTLS = usesTLS
        }
    }

    /// Where its files are.
    public let folder: String
    /// The certificates, when it speaks TLS.
    public let certificates: TestCertificates?
    private let reserved: ReservedPort
    private let arguments: [String]
    private let process: Mutex<ChildProcess>

    private static let one = Mutex<RedisServer?>(nil)

    /// The one that most tests of a process share; each keeps to a name of its own.
    public static func shared() throws -> RedisServer {
        try one.withLock { one in
            if let one { return one }
            let server = try RedisServer()
            one = server
            return server
        }
    }

    /// Starts a server.
    public init(_ options: Options = Options()) throws {
        let program = try Self.program()
        folder = try TestMachine.folder("redis")
        reserved = try ReservedPort()
        certificates = options.usesTLS ? try TestCertificates(in: folder, for: options.names) : nil
        var settings = [
            "bind": "127.0.0.1", "port": "\(reserved.number)", "dir": folder, "appendonly": "yes",
            "appendfsync": "everysec", "save": "", "daemonize": "no", "loglevel": "notice",
        ]
        if let certificates {
            let ways = [
                "port": "0", "tls-port": "\(reserved.number)", "tls-cert-file": certificates.chain,
                "tls-key-file": certificates.key, "tls-ca-cert-file": certificates.root, "tls-auth-clients": "no",
            ]
            settings.merge(ways) { _, new in new }
        }
        settings.merge(options.settings) { _, given in given }
        arguments = settings.sorted { $0.key < $1.key }.flatMap { ["--\($0.key)", $0.value] }
        process = Mutex(try Self.launch(program, arguments))
    }

    deinit {
        kill()
        try? FileManager.default.removeItem(atPath: folder)
    }

    private static func launch(_ program: String, _ arguments: [String]) throws -> ChildProcess {
        let process = try ChildProcess(program, arguments)
        try process.until("Ready to accept connections")
        return process
    }

    /// Where it listens.
    public var port: Int { reserved.number }

    /// Its address.
    public var url: String { "\(certificates == nil ? "redis" : "rediss")://127.0.0.1:\(port)" }

    /// Ends it as a crash does; what was not written to its file is lost.
    public func kill() {
        process.withLock { process in
            process.signal(SIGKILL)
            process.wait()
        }
    }

    /// Starts it again on the same port and files, and waits until it has read them.
    public func start() throws {
        let again = try Self.launch(Self.program(), arguments)
        process.withLock { $0 = again }
    }

    /// Stops it where it is: it keeps its connections and answers nothing.
    public func freeze() { process.withLock { $0.signal(SIGSTOP) } }

    /// Lets it go on.
    public func thaw() { process.withLock { $0.signal(SIGCONT) } }

    /// The path of the server program.
    public static func program() throws -> String {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":") + ["/usr/bin"]
        for name in ["redis-server", "valkey-server"] {
            for folder in folders where FileManager.default.isExecutableFile(atPath: "\(folder)/\(name)") {
                return "\(folder)/\(name)"
            }
        }
        throw TestServerError("no redis-server on the PATH; install it: Scripts/dependencies.sh test")
    }
}
