// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation
import Testing

@testable import ChaosProcess

/// A run of several processes on one store while things go wrong, and the check of what they wrote down.
struct ChaosRun: Sendable {
    /// How much; the environment says otherwise: `CHAOS_JOBS`, `CHAOS_FAULTS`, `CHAOS_SEED`.
    var jobs = Self.number("CHAOS_JOBS") ?? 2000
    var faults = Self.number("CHAOS_FAULTS") ?? 12
    var seed = Self.number("CHAOS_SEED").map(UInt64.init) ?? UInt64.random(in: 1...999_999)
    var workers = 3
    /// The longest pause between two faults.
    var pause: Duration = .milliseconds(400)
    /// How long everything may take to become final when nothing goes wrong any more.
    var patience: Duration = .minutes(3)
    /// What goes wrong.
    var kinds = ChaosFault.ofProcesses

    private static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }

    /// Runs on the store of this URL, which is empty.
    ///
    /// - Parameters:
    ///   - url: The store as the processes open it.
    ///   - direct: The same storage as the check reads it, without what may be between; `url` when `nil`.
    ///   - heal: Puts an end to everything that was made to go wrong outside of the processes.
    func run(
        on url: String,
        direct: String? = nil,
        heal: () async throws -> Void = {}
    ) async throws -> RecordedHistoryReport {
        let folder = FileManager.default.temporaryDirectory.appending(path: "errand-chaos-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let store = try await ChaosStore.open(direct ?? url)
        let fleet = ChaosFleet(url: url, workers: workers, folder: folder)
        do {
            let driver = folder.appending(path: "driver.jsonl").path
            try await fleet.start()
            try await disturb(fleet, try FactRecorder(path: driver))
            try await heal()
            await fleet.calm()
            try await untilQuiet(store)
            let codes = await fleet.end()
            #expect(codes.allSatisfy { $0 == 0 }, "ended with \(codes)")
            let facts = try ([driver] + fleet.files).map { try RecordedFact.read($0) }
            let report = RecordedHistoryChecker.check(facts, rows: try await rows(of: store))
            try await store.close()
            return report
        } catch {
            await fleet.kill()
            try? await store.close()
            throw error
        }
    }

    private func disturb(_ fleet: ChaosFleet, _ recorder: FactRecorder) async throws {
        var generator = SeededGenerator(seed: seed)
        let sum = kinds.reduce(0) { $0 + $1.weight }
        for number in 0..<faults {
            let (start, end) = (jobs * number / faults, jobs * (number + 1) / faults)
            fleet.enqueue(start, end - start)
            var choice = Int.random(in: 0..<sum, using: &generator)
            let kind = kinds.first { kind in
                choice -= kind.weight
                return choice < 0
            }
            guard let kind else { continue }
            recorder.fault(kind.name)
            try await kind.perform(fleet, &generator)
            let longest = max(pause.wholeMicroseconds, 1)
            try await SystemClock.shared.sleep(for: .microseconds(Int64.random(in: 0...longest, using: &generator)))
        }
    }

    /// Waits until every job is final.
    private func untilQuiet(_ store: any JobStore) async throws {
        let clock = SystemClock.shared
        let end = clock.uptime + patience
        while clock.uptime < end {
            let counts = try? await store.counts()
            if let counts, counts.rows.allSatisfy(\.state.isFinal), !counts.rows.isEmpty { return }
            try await clock.sleep(for: .milliseconds(200))
        }
    }

    private func rows(of store: any JobStore) async throws -> [JobRecord] {
        var rows: [JobRecord] = []
        var after: JobID?
        repeat {
            let page = try await store.list(
                JobFilter(),
                page: JobPageRequest(after: after, limit: JobPageRequest.largest)
            )
            rows += page.jobs
            after = page.next
        } while after != nil
        return rows
    }
}
