// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

@testable import StarvedProcess

#if canImport(System)
import System
#else
import SystemPackage
#endif

/// Each drill is a process of its own, for the seconds of `STARVATION_SECONDS` (15).
@Suite("Starvation", .timeLimit(.minutes(5)))
struct StarvationTests {
    enum Store: String, CaseIterable { case memory, sqlite }

    private var seconds: Double {
        ProcessInfo.processInfo.environment["STARVATION_SECONDS"].flatMap(Double.init) ?? 15
    }

    @Test(
        "with every thread of the shared pool spinning for several leases no lease is lost",
        arguments: Store.allCases
    )
    func sharedPool(_ store: Store) async throws {
        let (facts, log) = try await Self.run(.sharedPool, on: store, for: seconds)
        #expect(facts.starvedThreads >= ProcessInfo.processInfo.activeProcessorCount)
        #expect(facts.turns == 0 && facts.waiting > 0, "nothing else got a turn on the shared pool")
        Self.expectNothingLost(facts)
        #expect(facts.jobs.map(\.name).sorted() == ["next", "steady", "steady"])

        #expect(facts.progressWritten == 2)

        // The handler that ignored its cancellation meanwhile.
        let abandoned = try #require(facts.stubborn)
        #expect(facts.slotFreedAfter > facts.leaseSeconds / 3 && facts.slotFreedAfter < facts.leaseSeconds * 2)
        #expect(facts.zombies == 1 && facts.zombieGauge == 1)
        #expect(abandoned.state == "cancelled" && abandoned.reason == "abandoned")
        #expect(facts.blocking.contains("stubborn"))
        #expect(log.contains { $0.contains("holds a thread without suspending") && $0.contains("job.name=stubborn") })
        #expect(log.contains { $0.contains("ignores its cancellation") && $0.contains("job.name=stubborn") })
        // Its result came later.
        #expect(facts.zombiesLater == 0 && facts.zombieGaugeLater == 0)
        #expect(log.contains { $0.contains("its result is refused") && $0.contains("job.name=stubborn") })
        let later = try #require(facts.stubbornLater)
        #expect(later.state == "cancelled" && later.epoch == 1 && !later.hasResult)
    }

    @Test("with every thread of the handlers blocked for several leases no lease is lost", arguments: Store.allCases)
    func handlerThreads(_ store: Store) async throws {
        let (facts, log) = try await Self.run(.handlerThreads, on: store, for: seconds)
        #expect(facts.starvedThreads == 2)
        #expect(facts.turns == 0, "the job behind them waited for a thread")
        Self.expectNothingLost(facts)
        #expect(facts.jobs.map(\.name) == ["blocking", "blocking", "steady"])
        #expect(log.contains { $0.contains("holds a thread without suspending") && $0.contains("job.name=blocking") })
    }

    @Test(
        "the drill sees a worker whose beats need the shared pool: it stops, is taken for dead, and its jobs run again",
        arguments: Store.allCases
    )
    func control(_ store: Store) async throws {
        let (facts, _) = try await Self.run(
            .sharedPool,
            on: store,
            for: min(seconds, 5),
            ["BEATS_NEED_SHARED_POOL": "yes"]
        )
        #expect(facts.turns == 0)
        #expect(facts.longestSilence > facts.leaseSeconds)
        #expect(facts.fences > 0)
        #expect(facts.jobs.allSatisfy { $0.epoch > 1 })
        #expect(facts.rescued > 0)
        #expect(facts.stubbornLater?.crashes == 1)
    }

    private static func expectNothingLost(_ facts: StarvationFacts) {
        #expect(facts.seconds > 4 * facts.leaseSeconds)
        #expect(facts.beats >= 15)
        #expect(facts.longestSilence < facts.leaseSeconds)
        #expect(facts.rescued == 0 && facts.leasesLost == 0 && facts.fences == 0)
        for job in facts.jobs {
            #expect(job.state == "succeeded" && job.epoch == 1 && job.crashes == 0, "\(job.name)")
        }
    }

    private static func run(
        _ kind: StarvationPlan.Kind,
        on store: Store,
        for seconds: Double,
        _ more: [Environment.Key: String?] = [:]
    ) async throws -> (facts: StarvationFacts, log: [String]) {
        let folder = FileManager.default.temporaryDirectory.appending(path: "errand-starved-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let environment: [Environment.Key: String?] = [
            "STARVED": kind.rawValue, "STARVATION_SECONDS": "\(seconds)",
            // Beside other tests they must not take the whole machine; a long run is there to be hard.
            "STARVED_POLITELY": ProcessInfo.processInfo.environment["STARVATION_SECONDS"] == nil ? "yes" : "no",
            "STARVED_FILE": store == .sqlite ? folder.appending(path: "jobs.db").path : nil,
        ]
        let result = try await Subprocess.run(
            .path(FilePath(try program().path)),
            environment: .inherit.updating(environment.merging(more) { $1 }),
            output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 20)
        )
        let log = result.standardError
        try #require(result.terminationStatus == .exited(0), "\(log.suffix(2000))")
        let output = result.standardOutput
        print("starvation of \(kind) on \(store): \(output)", terminator: "")
        let facts = try JSONDecoder().decode(StarvationFacts.self, from: Data(output.utf8))
        return (facts, log.split(separator: "\n").map(String.init))
    }

    /// The program, in the folder of the products that this test bundle was built into.
    private static func program() throws -> URL {
        let bundles = Bundle.allBundles.map(\.bundleURL).filter { $0.pathExtension == "xctest" }
            .map { $0.deletingLastPathComponent() }
        let folders =
            bundles + [Bundle.main.bundleURL, URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()]
        let programs = folders.map { $0.appending(path: "StarvedProcess") }
        return try #require(
            programs.first { FileManager.default.isExecutableFile(atPath: $0.path) },
            "StarvedProcess is not in \(folders.map(\.path)); build it with swift build"
        )
    }
}
