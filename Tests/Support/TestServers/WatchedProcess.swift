// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A server that ends with this process, however that ends.
///
/// A shell stands in between: it starts the server and waits for the end of its input, which comes when this process is gone.
/// Then it ends the server by its id and removes its folder. It does not wait for the server's end, because it may have
/// inherited a mask that keeps that signal from it.
public final class WatchedProcess: Sendable {
    private struct State {
        var text = ""
        var isOver = false
        var pid: Int32?
    }

    private static let script = """
        folder=$1; shift
        "$@" </dev/null 2>&1 &
        server=$!
        echo "pid $server"
        read -r word
        kill -9 $server 2>/dev/null
        [ "$word" = keep ] || rm -rf "$folder"
        """

    /// Held while a process is started: one that is started meanwhile would inherit the socket by which the end of the
    /// first is noticed, and a server would keep it open.
    static let spawning = Mutex(())

    private let input = Pipe()
    private let output = Pipe()
    private let shell = Process()
    private let state = Mutex(State())
    private let changed = DispatchSemaphore(value: 0)

    /// Starts a program and waits until it prints `sign`.
    /// - Returns: `nil` when it ended before; ``said`` is in the error.
    public init(_ program: String, _ arguments: [String], folder: String, readyWhen sign: String) throws {
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = ["-c", Self.script, "server", folder, program] + arguments
        shell.standardInput = input
        shell.standardOutput = output
        shell.standardError = FileHandle.nullDevice
        try Self.spawning.withLock { _ in
            // Or every later server would hold this one's input open.
            for handle in [input.fileHandleForWriting, output.fileHandleForReading] {
                _ = fcntl(handle.fileDescriptor, F_SETFD, FD_CLOEXEC)
            }
            try shell.run()
        }
        try? output.fileHandleForWriting.close()
        try? input.fileHandleForReading.close()
        let thread = Thread { [self] in listen() }
        thread.start()
        while true {
            let (text, isOver) = state.withLock { ($0.text, $0.isOver) }
            if text.contains(sign) { return }
            if isOver { throw TestServerError("\(program) did not start:\n\(text.suffix(2000))") }
            changed.wait()
        }
    }

    /// What the server printed last.
    public var said: String { state.withLock { $0.text } }

    /// The server's process id.
    public var pid: Int32? { state.withLock { $0.pid } }

    /// Sends the server a signal.
    public func signal(_ number: Int32) {
        if let pid { kill(pid, number) }
    }

    /// Ends the server at once, as a crash does; its folder stays.
    public func kill9() {
        signal(SIGCONT)
        try? input.fileHandleForWriting.write(contentsOf: Data("keep\n".utf8))
        try? input.fileHandleForWriting.close()
        shell.waitUntilExit()
        while let pid, !Self.isGone(pid) { sched_yield() }
    }

    private static func isGone(_ pid: Int32) -> Bool {
        guard let facts = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else {
            return kill(pid, 0) != 0
        }
        // Behind the name in brackets comes the state; Z is dead and not yet buried.
        return facts.split(separator: ")").last?.hasPrefix(" Z") == true
    }

    private func listen() {
        while true {
            let data = output.fileHandleForReading.availableData
            state.withLock { state in
                if data.isEmpty { state.isOver = true }
                state.text += String(decoding: data, as: UTF8.self)
                if state.pid == nil, let line = state.text.split(separator: "\n").first(where: { $0.hasPrefix("pid ") })
                {
                    state.pid = Int32(line.dropFirst(4))
                }
                if state.text.utf8.count > 100_000 { state.text = String(state.text.suffix(50_000)) }
            }
            changed.signal()
            if data.isEmpty { return }
        }
    }
}
