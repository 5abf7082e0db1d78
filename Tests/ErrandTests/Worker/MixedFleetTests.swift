// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

@Suite("A fleet of several versions", .timeLimit(.minutes(3)))
struct MixedFleetTests {
    private struct First: Job { static let name: JobName = "first" }
    private struct Second: Job { static let name: JobName = "second" }
    private struct Renewed: Job {
        static let name: JobName = "second"
        static let version = 3
    }
    private struct Third: Job { static let name: JobName = "third" }

    private static func add(_ index: Int, to handlers: inout JobHandlers) {
        switch index {
        case 0: handlers.add(First.self) { _, _ in }
        case 1: handlers.add(Second.self) { _, _ in }
        case 2: handlers.add(Renewed.self) { _, _ in }
        default: handlers.add(Third.self) { _, _ in }
        }
    }

    @Test("jobs of random names and versions run where they are known, and wait untouched where not", arguments: 1...20)
    func random(seed: Int) async throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        let clock = ManualClock()
        let store = MemoryStore(clock: clock)
        let fleet = (0..<3)
            .map { _ in
                let known = [0, generator.below(2) + 1, 3].filter { _ in generator.once(in: 2) }
                return ErrandHarness(clock: clock, store: store) { handlers, _ in
                    for index in known { Self.add(index, to: &handlers) }
                }
            }
        let jobs = (0..<30)
            .map { _ in
                NewJob(
                    id: JobID(at: clock.now, using: &generator),
                    name: generator.pick(["first", "second", "third", "nobody's"]),
                    payload: Payload(bytes: Array("{}".utf8), version: generator.below(4) + 1)
                )
            }
        _ = try await store.insert(jobs, offer: nil)
        for harness in fleet { try await harness.runDue() }
        for job in jobs {
            let isKnown = fleet.contains { $0.handlers.names[job.name].map { $0 >= job.payload.version } == true }
            let record = try #require(try await store.jobs([job.id], parts: []).first)
            #expect(record.state == (isKnown ? .succeeded : .ready), "\(job.name) \(job.payload.version), seed \(seed)")
            if !isKnown { #expect(record.attempt == 0 && record.epoch == 0 && record.failures == 0, "seed \(seed)") }
        }
    }
}
