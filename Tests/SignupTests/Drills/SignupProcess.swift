// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import Foundation
import Subprocess
import Synchronization
import Testing

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// A started `signup`, seen from outside.
struct SignupProcess: Sendable {
    /// Where it listens; empty when it only works.
    let url: String
    /// What it wrote to standard error.
    let log: LineLog
    private let signal: @Sendable (Signal) throws -> Void

    /// Sends a signal to this very process.
    func send(_ signal: Signal) throws { try self.signal(signal) }

    /// Starts the built program, waits until it listens or works, runs `body` and sends `ending`.
    /// - Returns: What `body` gave, and how the process ended.
    static func run<Value: Sendable>(
        _ environment: [String: String],
        ending: Signal = .terminate,
        _ body: (SignupProcess) async throws -> Value
    ) async throws -> (value: Value, status: TerminationStatus) {
        // What a drill counts must not be joined by what a schedule enqueues.
        let environment = ["SCHEDULES": "off"].merging(environment) { $1 }
        let updates = Dictionary(
            uniqueKeysWithValues: environment.map { (Environment.Key(stringLiteral: $0), $1 as String?) }
        )
        let result = try await Subprocess.run(
            .path(FilePath(try program().path)),
            environment: .inherit.updating(updates),
            input: .none,
            output: .sequence,
            error: .sequence
        ) { execution in
            let (log, output) = (LineLog(), LineLog())
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for try await line in execution.standardError.strings() { log.add(line) }
                    log.end()
                }
                group.addTask {
                    for try await line in execution.standardOutput.strings() { output.add(line) }
                    output.end()
                }
                do {
                    let (serves, works) = ("signup: ready on ", "signup: works")
                    let ready = await output.first { $0.hasPrefix(serves) || $0.hasPrefix(works) }
                    let line = try #require(ready, "signup did not start: \(log.lines)")
                    let url = line.hasPrefix(serves) ? String(line.dropFirst(serves.count)) : ""
                    let process = SignupProcess(url: url, log: log) { try execution.send(signal: $0) }
                    let value = try await body(process)
                    try process.send(ending)
                    try await group.waitForAll()
                    return value
                } catch {
                    // A stopped process dies of this, too.
                    try? execution.send(signal: .kill)
                    throw error
                }
            }
        }
        return (result.closureResult, result.terminationStatus)
    }

    /// The program, in the folder of the products that this test bundle was built into.
    static func program() throws -> URL {
        let bundles = Bundle.allBundles.map(\.bundleURL).filter { $0.pathExtension == "xctest" }
            .map { $0.deletingLastPathComponent() }
        let folders =
            bundles + [Bundle.main.bundleURL, URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()]
        let programs = folders.map { $0.appending(path: "signup") }
        return try #require(
            programs.first { FileManager.default.isExecutableFile(atPath: $0.path) },
            "signup is not in \(folders.map(\.path)); build it with swift build"
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

    var lines: [String] { state.withLock { $0.lines } }

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
}
