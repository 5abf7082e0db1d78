// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Foundation
import Synchronization

#if canImport(Glibc)
public import Glibc
#elseif canImport(Darwin)
public import Darwin
#endif

/// A process that a test started. It inherits nothing but its three streams, and ends with the test process at the latest,
/// however that ends.
///
/// Nothing inherited: a server that is started while another process is fed would otherwise hold that one's input open, and
/// its end would never be noticed.
public final class ChildProcess: Sendable {
    /// How a process is started.
    public struct Setup: Sendable {
        /// An ordinary user to become when the tests run as root.
        public var user: (id: uid_t, group: gid_t)?
        /// The signal that ends it when the test process is gone.
        public var ending: Int32 = SIGKILL
        /// Whether it has an input that ``ChildProcess/tell(_:)`` writes to.
        public var isFed = false
        /// Whether its errors go where the tests' own go, instead of to its output.
        public var keepsErrors = false
        /// Is told what it prints, as it comes, on a thread of its own.
        public var hear: (@Sendable (String) -> Void)?
        /// Is told when it is gone.
        public var ended: (@Sendable () -> Void)?

        public init() {}
    }

    private struct State {
        var text = ""
        /// How it ended, when it is gone.
        var end: Int32?
        /// The same, when all it printed was read too.
        var status: Int32?
        var input: Int32?
    }

    public let id: pid_t
    private let program: String
    private let state: Mutex<State>
    private let condition = ThreadCondition()

    /// Starts a program, its output kept for ``said``.
    public init(_ program: String, _ arguments: [String], _ setup: Setup = Setup()) throws {
        self.program = program
        var command = [program] + arguments
        if let user = setup.user, geteuid() == 0 {
            command = ["/usr/bin/setpriv", "--reuid=\(user.id)", "--regid=\(user.group)", "--clear-groups"] + command
        }
        let streams = try SpawnStreams(isFed: setup.isFed, keepsErrors: setup.keepsErrors)
        id = try streams.start(command)
        ChildWatch.shared.add(id, ending: setup.ending)
        state = Mutex(State(input: streams.input))
        OSThread.start(named: "test-child-end") { [self] in bury() }
        OSThread.start(named: "test-child") { [self] in
            listen(to: streams.output, setup)
            setup.ended?()
        }
    }

    /// The last of what it printed.
    public var said: String { state.withLock { $0.text } }

    /// How it ended, 128 and more for a signal; `nil` while it runs.
    public var status: Int32? { state.withLock { $0.status } }

    /// Waits until it prints `sign`.
    /// - Throws: ``TestServerError`` with what it said when it ended without.
    public func until(_ sign: String) throws {
        condition.lock()
        defer { condition.unlock() }
        while true {
            let (text, status) = state.withLock { ($0.text, $0.status) }
            if text.contains(sign) { return }
            if let status { throw TestServerError("\(program) ended with \(status):\n\(text.suffix(2000))") }
            condition.wait()
        }
    }

    /// Waits for its end and that of its output.
    /// - Returns: Its ``status``.
    @discardableResult
    public func wait() -> Int32 {
        condition.lock()
        defer { condition.unlock() }
        while true {
            if let status { return status }
            condition.wait()
        }
    }

    /// Sends a signal; one that is gone does not hear.
    public func signal(_ number: Int32) {
        state.withLock { if $0.end == nil { _ = kill(id, number) } }
    }

    /// Writes a line to its input; one that is gone does not hear.
    public func tell(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        state.withLock { state in
            guard let input = state.input, state.end == nil else { return }
            _ = send(input, bytes, bytes.count, SpawnStreams.quietly)
        }
    }

    /// Ends its input.
    public func closeInput() {
        state.withLock { state in
            if let input = state.input.take() { _ = close(input) }
        }
    }

    /// Runs a program to its end.
    /// - Returns: What it printed, errors too.
    /// - Throws: ``TestServerError`` with that, when it did not end well.
    @discardableResult
    public static func run(
        _ program: String,
        _ arguments: [String],
        user: (id: uid_t, group: gid_t)? = nil
    ) throws -> String {
        var setup = Setup()
        setup.user = user
        let process = try ChildProcess(program, arguments, setup)
        let status = process.wait()
        guard status == 0 else {
            throw TestServerError("\(program) ended with status \(status): \(process.said.suffix(2000))")
        }
        return process.said
    }

    // MARK: Its thread

    private func listen(to reader: Int32, _ setup: Setup) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var rest: [UInt8] = []
        while true {
            let count = read(reader, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            rest += buffer[..<count]
            // A character that came in part waits for the rest of it.
            let whole = rest.lastIndex { $0 < 0x80 }.map { $0 + 1 } ?? 0
            heard(String(decoding: rest[..<whole], as: UTF8.self), setup)
            rest.removeFirst(whole)
        }
        _ = close(reader)
        if !rest.isEmpty { heard(String(decoding: rest, as: UTF8.self), setup) }
        condition.lock()
        while state.withLock({ $0.end }) == nil { condition.wait() }
        state.withLock { $0.status = $0.end }
        condition.unlock()
        condition.broadcast()
    }

    private func heard(_ text: String, _ setup: Setup) {
        state.withLock { state in
            state.text += text
            if state.text.utf8.count > Self.most { state.text = String(state.text.suffix(Self.most / 2)) }
        }
        setup.hear?(text)
        wake()
    }

    /// So many bytes of what it printed are kept.
    private static let most = 1_000_000

    /// At once, although others may still hold its output: who waits for any child of this process, as tests of exits do,
    /// would be told of this one again and again.
    private func bury() {
        // It stays a zombie until nobody can send it a signal any more: its id is not another's before.
        var facts = siginfo_t()
        while waitid(P_PID, id_t(id), &facts, WEXITED | WNOWAIT) == -1, errno == EINTR {}
        ChildWatch.shared.forget(id)
        state.withLock { state in
            var raw: Int32 = 0
            while waitpid(id, &raw, 0) == -1, errno == EINTR {}
            let signal = raw & 0x7f
            state.end = signal == 0 ? (raw >> 8) & 0xff : 128 + signal
            if let input = state.input.take() { _ = close(input) }
        }
        wake()
    }

    /// Under the lock, or one that is about to wait would not hear.
    private func wake() {
        condition.lock()
        condition.unlock()
        condition.broadcast()
    }
}
