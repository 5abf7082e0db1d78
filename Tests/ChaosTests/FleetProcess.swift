// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import TestServers
import Testing

@testable import ChaosProcess

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A running program of Tests/Support/ChaosProcess.
final class FleetProcess: Sendable {
    let settings: ChaosSettings
    private let process: ChildProcess
    private let talk: FleetTalk

    /// Starts it; it is at work when it has said `ready`.
    init(_ settings: ChaosSettings) throws {
        self.settings = settings
        let talk = FleetTalk()
        var setup = ChildProcess.Setup()
        (setup.isFed, setup.keepsErrors) = (true, true)
        setup.hear = { talk.heard($0) }
        setup.ended = { talk.ended() }
        self.talk = talk
        process = try ChildProcess(Self.program().path, [settings.argument], setup)
    }

    /// Says a line to it; a dead process does not hear.
    func tell(_ line: String) { process.tell(line) }

    /// Waits until it says this line.
    /// - Returns: False when it ended without, or the caller was cancelled.
    func until(_ line: String) async -> Bool { await talk.wait(for: line) }

    /// Whether it has said this line.
    func hasSaid(_ line: String) -> Bool { talk.hasSaid(line) }

    /// Ends it as a crash would.
    func kill() async {
        process.signal(SIGKILL)
        _ = await talk.wait(for: nil)
    }

    /// Stops it where it is, until ``thaw()``.
    func freeze() { process.signal(SIGSTOP) }

    func thaw() { process.signal(SIGCONT) }

    /// Lets it end in peace.
    /// - Returns: How it ended; 0 is well.
    func end() async -> Int32 {
        process.closeInput()
        _ = await talk.wait(for: nil)
        return process.status ?? -1
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
