// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Synchronization
import Testing

@testable import TwinProcess

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// The other process of a test: the program of Tests/Support/TwinProcess.
struct FarProcess: Sendable {
    /// What it said.
    let lines: LineLog
    private let tell: @Sendable (String) async throws -> Void
    private let signal: @Sendable (Signal) throws -> Void

    /// Asks it to do something; see `Twin.obey`.
    func send(_ line: String) async throws { try await tell(line) }

    /// Ends it as a crash would, and waits until it is gone.
    func kill() async throws {
        try signal(.kill)
        await lines.untilEnd()
    }

    /// Starts the program, waits until it is ready, runs `body` and lets it end in peace.
    static func run<Value: Sendable>(
        _ settings: TwinSettings,
        _ body: (FarProcess) async throws -> Value
    ) async throws -> (value: Value, status: TerminationStatus) {
        let result = try await Subprocess.run(
            .path(FilePath(try program().path)),
            arguments: [try settings.argument],
            input: .inputWriter,
            output: .sequence,
            error: .currentStandardError
        ) { execution in
            let lines = LineLog()
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for try await line in execution.standardOutput.strings() { lines.add(line) }
                    lines.end()
                }
                do {
                    _ = try #require(await lines.first { $0 == "ready" }, "the other process did not start")
                    let process = FarProcess(
                        lines: lines,
                        tell: { _ = try await execution.standardInputWriter.write("\($0)\n") },
                        signal: { try execution.send(signal: $0) }
                    )
                    let value = try await body(process)
                    try await execution.standardInputWriter.finish()
                    try await group.waitForAll()
                    return value
                } catch {
                    try? execution.send(signal: .kill)
                    throw error
                }
            }
        }
        return (result.closureResult, result.terminationStatus)
    }

    /// The program, in the folder of the products that this test bundle was built into.
    private static func program() throws -> URL {
        let bundles = Bundle.allBundles.map(\.bundleURL).filter { $0.pathExtension == "xctest" }
            .map { $0.deletingLastPathComponent() }
        let folders =
            bundles + [Bundle.main.bundleURL, URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()]
        let programs = folders.map { $0.appending(path: "TwinProcess") }
        return try #require(
            programs.first { FileManager.default.isExecutableFile(atPath: $0.path) },
            "TwinProcess is not in \(folders.map(\.path)); build it with swift build"
        )
    }
}

/// Lines as they come, for whoever waits for one of them.
final class LineLog: Sendable {
    private struct State {
        var lines: [String] = []
        var isEnded = false
        var waiters: [(matches: @Sendable (String) -> Bool, continuation: CheckedContinuation<String?, Never>)] = []
    }

    private let state = Mutex(State())

    var all: [String] { state.withLock { $0.lines } }

    func add(_ line: String) {
        let found = state.withLock { state in
            state.lines.append(line)
            let found = state.waiters.filter { $0.matches(line) }
            state.waiters.removeAll { $0.matches(line) }
            return found
        }
        for waiter in found { waiter.continuation.resume(returning: line) }
    }

    func end() {
        let waiters = state.withLock { state in
            state.isEnded = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume(returning: nil) }
    }

    /// The first line that matches, also one that came before; `nil` when there will be none.
    func first(_ matches: @escaping @Sendable (String) -> Bool) async -> String? {
        await withCheckedContinuation { continuation in
            let answer: String?? = state.withLock { state in
                if let line = state.lines.first(where: matches) { return .some(line) }
                if state.isEnded { return .some(nil) }
                state.waiters.append((matches, continuation))
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    /// The words after `start` in the first line that begins with it.
    func words(after start: String) async throws -> [String] {
        let line = try #require(await first { $0.hasPrefix(start + " ") || $0 == start }, "no line '\(start)' came")
        return line.dropFirst(start.count).split(separator: " ").map(String.init)
    }

    func untilEnd() async { _ = await first { _ in false } }
}
