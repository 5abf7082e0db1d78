// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import Testing

@testable import ChaosProcess

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A running program of Tests/Support/ChaosProcess.
final class FleetProcess: Sendable {
    private struct State {
        var rest = ""
        var lines: [String] = []
        var isOver = false
        var waiters: [(line: String?, continuation: CheckedContinuation<Bool, Never>)] = []
    }

    let settings: ChaosSettings
    private let process: Process
    private let input: FileHandle
    private let state = Mutex(State())

    /// Starts it; it is at work when it has said `ready`.
    init(_ settings: ChaosSettings) throws {
        self.settings = settings
        let (process, input, output) = (Process(), Pipe(), Pipe())
        process.executableURL = try Self.program()
        process.arguments = [try settings.argument]
        process.standardInput = input
        process.standardOutput = output
        self.process = process
        self.input = input.fileHandleForWriting
        output.fileHandleForReading.readabilityHandler = { [weak self] handle in
            let data = handle.availableData
            if data.isEmpty {
                handle.readabilityHandler = nil
            } else {
                self?.heard(String(decoding: data, as: UTF8.self))
            }
        }
        process.terminationHandler = { [weak self] _ in self?.ended() }
        try process.run()
    }

    /// Says a line to it; a dead process does not hear.
    func tell(_ line: String) { try? input.write(contentsOf: Data("\(line)\n".utf8)) }

    /// Waits until it says this line.
    /// - Returns: False when it ended without.
    func until(_ line: String) async -> Bool { await wait(for: line) }

    /// Whether it has said this line.
    func hasSaid(_ line: String) -> Bool { state.withLock { $0.lines.contains(line) } }

    /// Ends it as a crash would.
    func kill() async {
        signal(SIGKILL)
        _ = await wait(for: nil)
    }

    /// Stops it where it is, until ``thaw()``.
    func freeze() { signal(SIGSTOP) }

    func thaw() { signal(SIGCONT) }

    /// Lets it end in peace.
    /// - Returns: How it ended; 0 is well.
    func end() async -> Int32 {
        try? input.close()
        _ = await wait(for: nil)
        return process.terminationStatus
    }

    private func signal(_ number: Int32) {
        guard process.isRunning else { return }
        #if canImport(Glibc)
        _ = Glibc.kill(process.processIdentifier, number)
        #elseif canImport(Darwin)
        _ = Darwin.kill(process.processIdentifier, number)
        #endif
    }

    private func heard(_ text: String) {
        let due = state.withLock { state in
            var lines = (state.rest + text).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            state.rest = lines.popLast() ?? ""
            state.lines += lines
            let due = state.waiters.filter { waiter in waiter.line.map(lines.contains) ?? false }
            state.waiters.removeAll { waiter in waiter.line.map(lines.contains) ?? false }
            return due
        }
        for waiter in due { waiter.continuation.resume(returning: true) }
    }

    private func ended() {
        let waiters = state.withLock { state in
            state.isOver = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume(returning: false) }
    }

    /// Waits for a line, or with `nil` for the end.
    private func wait(for line: String?) async -> Bool {
        await withCheckedContinuation { continuation in
            let answer: Bool? = state.withLock { state in
                if let line, state.lines.contains(line) { return true }
                if state.isOver { return false }
                state.waiters.append((line, continuation))
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    /// The program, in the folder of the products that this test bundle was built into.
    private static func program() throws -> URL {
        let bundles = Bundle.allBundles.map(\.bundleURL).filter { $0.pathExtension == "xctest" }
            .map { $0.deletingLastPathComponent() }
        let folders =
            bundles + [Bundle.main.bundleURL, URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()]
        let programs = folders.map { $0.appending(path: "ChaosProcess") }
        return try #require(
            programs.first { FileManager.default.isExecutableFile(atPath: $0.path) },
            "ChaosProcess is not in \(folders.map(\.path)); build it with swift build"
        )
    }
}
