// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Synchronization

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// This program once more, in a process of its own: it tells in lines, and ends when its input does.
struct ChildProcess: Sendable {
    private let lines: LineQueue
    private let end: @Sendable () async throws -> Void

    /// Starts it, runs `body` and waits until it has ended.
    static func run<Value: Sendable>(
        _ arguments: [String],
        _ body: @Sendable (ChildProcess) async throws -> Value
    ) async throws -> Value {
        let program = CommandLine.arguments[0]
        let path = program.contains("/") ? program : "/proc/self/exe"
        let result = try await Subprocess.run(
            .path(FilePath(path)),
            arguments: Arguments(arguments),
            input: .inputWriter,
            output: .sequence,
            error: .currentStandardError
        ) { execution in
            let lines = LineQueue()
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for try await line in execution.standardOutput.strings() { lines.add(line) }
                    lines.end()
                }
                let writer = execution.standardInputWriter
                let child = ChildProcess(lines: lines) { try await writer.finish() }
                do {
                    let value = try await body(child)
                    try await child.finish()
                    try await group.waitForAll()
                    return value
                } catch {
                    try? execution.send(signal: .kill)
                    throw error
                }
            }
        }
        return result.closureResult
    }

    /// Waits for a line that starts with this word.
    /// - Returns: The rest of the line.
    @discardableResult
    func line(_ word: String) async throws -> String {
        guard let line = await lines.next(startingWith: word) else {
            throw VoidFigure("a child process ended before it said '\(word)'")
        }
        return line.dropFirst(word.count).trimmingCharacters(in: .whitespaces)
    }

    /// The number after this word.
    func number(_ word: String) async throws -> Int {
        let text = try await line(word)
        guard let number = Int(text) else { throw VoidFigure("a child process said '\(word) \(text)'") }
        return number
    }

    /// Tells it to come to its end.
    func finish() async throws {
        try await end()
    }
}

/// Lines as they come, for one that waits.
private final class LineQueue: Sendable {
    private struct State {
        var lines: [String] = []
        var isEnded = false
        var waiter: (word: String, continuation: CheckedContinuation<String?, Never>)?
    }

    private let state = Mutex(State())

    func add(_ line: String) {
        let waiter = state.withLock { state in
            guard let waiter = state.waiter, line.hasPrefix(waiter.word) else {
                state.lines.append(line)
                return nil as CheckedContinuation<String?, Never>?
            }
            state.waiter = nil
            return waiter.continuation
        }
        waiter?.resume(returning: line)
    }

    func end() {
        let waiter = state.withLock { state in
            state.isEnded = true
            defer { state.waiter = nil }
            return state.waiter?.continuation
        }
        waiter?.resume(returning: nil)
    }

    func next(startingWith word: String) async -> String? {
        await withCheckedContinuation { continuation in
            let answer: String?? = state.withLock { state in
                if let index = state.lines.firstIndex(where: { $0.hasPrefix(word) }) {
                    return .some(state.lines.remove(at: index))
                }
                if state.isEnded { return .some(nil) }
                state.waiter = (word, continuation)
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }
}

/// What a child process does about its parent.
enum Parent {
    /// Says a line.
    static func tell(_ line: String) {
        FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }

    /// Returns when the parent has closed the input or is gone.
    static func waitForEnd() async {
        await withCheckedContinuation { continuation in
            let thread = Thread {
                while !FileHandle.standardInput.availableData.isEmpty {}
                continuation.resume()
            }
            thread.start()
        }
    }
}
