// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import SpawnActions

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The ends of a new process's streams that stay here, and its start.
struct SpawnStreams {
    /// Where to write to it; `nil` when it has no input.
    let input: Int32?
    /// Where to read what it prints.
    let output: Int32
    private let itsInput: Int32?
    private let itsOutput: Int32
    private let keepsErrors: Bool

    /// For `send`: a reader that is gone is no reason to die of a signal.
    #if canImport(Darwin)
    static let quietly: Int32 = 0
    #else
    static let quietly = Int32(MSG_NOSIGNAL)
    #endif

    init(isFed: Bool, keepsErrors: Bool) throws {
        (output, itsOutput) = try Self.pair()
        if isFed {
            let (ours, its) = try Self.pair()
            (input, itsInput) = (ours, its)
        } else {
            (input, itsInput) = (nil, nil)
        }
        self.keepsErrors = keepsErrors
    }

    /// Two connected sockets, not pipes: writing to one whose reader is gone is an error instead of a signal.
    private static func pair() throws -> (ours: Int32, its: Int32) {
        var ends: [Int32] = [-1, -1]
        #if canImport(Darwin)
        let isMade = socketpair(AF_UNIX, SOCK_STREAM, 0, &ends) == 0
        var on: Int32 = 1
        for end in ends where isMade {
            setsockopt(end, SOL_SOCKET, SO_NOSIGPIPE, &on, socklen_t(MemoryLayout<Int32>.size))
        }
        #else
        let isMade = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0
        #endif
        guard isMade else { throw TestServerError("no descriptors to be had: \(String(cString: strerror(errno)))") }
        return (ends[0], ends[1])
    }

    /// Starts a program with these streams, and closes its ends of them here.
    /// - Returns: Its id.
    func start(_ command: [String]) throws -> pid_t {
        defer {
            _ = close(itsOutput)
            if let itsInput { _ = close(itsInput) }
        }
        var actions = Self.noActions
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let itsInput {
            posix_spawn_file_actions_adddup2(&actions, itsInput, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, itsOutput, 1)
        if !keepsErrors { posix_spawn_file_actions_adddup2(&actions, itsOutput, 2) }
        spawn_actions_close_from(&actions, 3)

        var attributes = Self.noAttributes
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A thread of a pool may have signals blocked, which a child would inherit.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        // A group of its own: an interrupt at the terminal is for the tests, which then end what they started.
        var flags = Int16(POSIX_SPAWN_SETPGROUP) | Int16(POSIX_SPAWN_SETSIGMASK)
        #if canImport(Darwin)
        flags |= Int16(POSIX_SPAWN_CLOEXEC_DEFAULT)
        #endif
        posix_spawnattr_setflags(&attributes, flags)

        let arguments = command.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        let variables = Self.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for variable in variables { free(variable) } }
        var id: pid_t = 0
        let status = posix_spawn(&id, command[0], &actions, &attributes, arguments, variables)
        guard status == 0 else {
            throw TestServerError("\(command[0]) cannot be started: \(String(cString: strerror(status)))")
        }
        return id
    }

    #if canImport(Darwin)
    private static var noActions: posix_spawn_file_actions_t? { nil }
    private static var noAttributes: posix_spawnattr_t? { nil }
    #else
    private static var noActions: posix_spawn_file_actions_t { .init() }
    private static var noAttributes: posix_spawnattr_t { .init() }
    #endif

    /// This process's own, without what would send a PostgreSQL client elsewhere, and with messages in English.
    private static var environment: [String: String] {
        var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("PG") }
        environment["LC_ALL"] = "C"
        return environment
    }
}
