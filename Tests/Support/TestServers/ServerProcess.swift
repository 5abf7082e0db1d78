// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

#if canImport(Glibc)
public import Glibc
#elseif canImport(Darwin)
public import Darwin
#endif

/// A child process that a test started: ended with the test process at the latest, also when that crashes in a way that
/// runs `atexit`.
public final class ServerProcess: Sendable {
    public let id: pid_t
    private static let running = Mutex<[pid_t: Int32]>([:])
    private static let cleaner: Void = { atexit { ServerProcess.endAll() } }()

    /// Starts a program with its output in a file.
    /// - Parameters:
    ///   - user: An ordinary user to become when the tests run as root.
    ///   - ending: The signal that ends it at once.
    public init(
        _ program: String,
        _ arguments: [String],
        log: String,
        user: (id: uid_t, group: gid_t)? = nil,
        ending: Int32 = 9
    ) throws {
        _ = Self.cleaner
        var command = [program] + arguments
        if let user, geteuid() == 0 {
            command = ["/usr/bin/setpriv", "--reuid=\(user.id)", "--regid=\(user.group)", "--clear-groups"] + command
        }
        var files = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&files)
        defer { posix_spawn_file_actions_destroy(&files) }
        posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&files, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o666)
        posix_spawn_file_actions_adddup2(&files, 1, 2)
        let pointers = command.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var environment = ProcessInfo.processInfo.environment
        environment["LC_ALL"] = "C"
        for name in environment.keys where name.hasPrefix("PG") { environment[name] = nil }
        let variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for variable in variables { free(variable) } }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A group of its own: an interrupt at the terminal is for the tests, which then end their servers.
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        var child: pid_t = 0
        let status = posix_spawn(&child, command[0], &files, &attributes, pointers, variables)
        guard status == 0 else {
            throw TestServerError("\(command[0]) cannot be started: \(String(cString: strerror(status)))")
        }
        id = child
        Self.running.withLock { _ = $0.updateValue(ending, forKey: child) }
    }

    /// Sends a signal.
    public func signal(_ number: Int32) { kill(id, number) }

    /// Waits for its end.
    /// - Returns: Its exit status.
    @discardableResult
    public func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(id, &status, 0) == -1, errno == EINTR {}
        Self.running.withLock { _ = $0.removeValue(forKey: id) }
        return status
    }

    /// Whether it has ended by itself.
    public var hasEnded: Bool {
        var status: Int32 = 0
        guard waitpid(id, &status, WNOHANG) == id else { return false }
        Self.running.withLock { _ = $0.removeValue(forKey: id) }
        return true
    }

    private static func endAll() {
        let left = running.withLock { $0 }
        for (child, signal) in left {
            // One that a test froze must run to hear the other.
            kill(child, SIGCONT)
            kill(child, signal)
        }
        for child in left.keys {
            var status: Int32 = 0
            waitpid(child, &status, 0)
        }
        TestMachine.removeFolders()
    }

    /// Runs a program to its end.
    public static func run(
        _ program: String,
        _ arguments: [String],
        log: String,
        user: (id: uid_t, group: gid_t)? = nil
    ) throws {
        let process = try ServerProcess(program, arguments, log: log, user: user)
        let status = process.wait()
        guard status == 0 else {
            let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
            throw TestServerError("\(program) ended with status \(status): \(text.suffix(2000))")
        }
    }
}

/// What the fixtures share.
public enum TestMachine {
    private static let folders = Mutex<[String]>([])

    /// At the end of the process, when nobody uses them any more.
    static func removeFolders() {
        for folder in folders.withLock({ $0 }) { try? FileManager.default.removeItem(atPath: folder) }
    }

    /// A free port of the loopback address, as of now.
    public static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw TestServerError("no socket to be had") }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(descriptor, raw, length) == 0 && getsockname(descriptor, raw, &length) == 0
            }
        }
        guard bound else { throw TestServerError("no free port on 127.0.0.1") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// The user that servers run as when the tests run as root, because PostgreSQL refuses root.
    public static var serverUser: (id: uid_t, group: gid_t)? {
        for name in ["postgres", "nobody"] {
            if let entry = getpwnam(name) { return (entry.pointee.pw_uid, entry.pointee.pw_gid) }
        }
        return nil
    }

    /// A fresh folder that the server's user can write, short enough for the path of a socket.
    public static func folder(_ name: String) throws -> String {
        let base = NSTemporaryDirectory().utf8.count < 60 && geteuid() != 0 ? NSTemporaryDirectory() : "/tmp"
        var template = Array("\(base)/errand-\(name)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TestServerError("no folder can be made under \(base)") }
        let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress ?? $0.baseAddress!) }
        folders.withLock { $0.append(path) }
        if geteuid() == 0, let user = serverUser { chown(path, user.id, user.group) }
        return path
    }

    /// The first of these programs that is there.
    public static func program(_ name: String, in folders: [String], install: String) throws -> String {
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        for folder in folders + path where access("\(folder)/\(name)", X_OK) == 0 { return "\(folder)/\(name)" }
        throw TestServerError("\(name) is not installed; install it: \(install)")
    }
}
