// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation
import Synchronization
import Testing

/// Bytes that anybody may have enqueued, for `FUZZ_SECONDS` (3); `FUZZ_SEED` repeats a run.
@Suite("Any bytes may be a payload", .timeLimit(.minutes(5)))
struct PayloadFuzzTests {
    private enum Size: String, Codable { case small, large }

    private struct Order: Job {
        static let name: JobName = "order"
        static let timeout: Duration? = nil
        let who: String
        let count: Int
        let weight: Double
        let size: Size?
        let tags: [String]
        let prices: [String: Float]
        let when: Date?
        let parts: [Order]?
    }

    private static let json = HostileJSON(
        names: ["who", "count", "weight", "size", "tags", "prices", "when", "parts"],
        corpus: [
            #"{"who":"ada","count":1,"weight":0.5,"size":"small","tags":["a","b"],"prices":{"x":1.5},"when":0}"#,
            #"{"who":"","count":-0,"weight":-0.0,"tags":[],"prices":{},"parts":[]}"#,
            #"{"who":"😀","count":9223372036854775807,"weight":1e308,"tags":["\u00e9"],"prices":{"":0},"parts":[{"who":"eve","count":0,"weight":1,"tags":[],"prices":{}}]}"#,
        ]
    )

    @Test(
        "the bytes stay as they are up to the handler; what cannot be decoded ends undecodable, nothing traps",
        arguments: FaultPointTests.Engine.allCases
    )
    func payloads(_ engine: FaultPointTests.Engine) async throws {
        let run = FuzzRun(ProcessInfo.processInfo.environment)
        print("fuzz payloads (\(engine)): \(run)")
        let ends = Mutex<[JobState: Int]>([:])
        let report = try await run.rounds(of: "payloads (\(engine))") { generator, again in
            for (state, count) in try await round(engine, &generator, again) {
                ends.withLock { $0[state, default: 0] += count }
            }
        }
        print(report, ends.withLock { $0.map { "\($0.value) \($0.key.word)" }.sorted() })
        #expect(ends.withLock { Set($0.keys).isSubset(of: [.succeeded, .failed]) })
    }

    /// Enqueues a few dozen payloads and runs them.
    private func round(
        _ engine: FaultPointTests.Engine,
        _ generator: inout SeededGenerator,
        _ again: String
    ) async throws -> [JobState: Int] {
        var jobs: [NewJob] = []
        let clock = ManualClock()
        for number in 0..<40 {
            let bytes = number == 0 ? Array(generator.pick(Self.json.corpus).utf8) : Self.json.next(using: &generator)
            jobs.append(
                NewJob(id: JobID(at: clock.now, using: &generator), name: Order.name, payload: Payload(bytes: bytes))
            )
        }
        return try await engine.with(clock) { store in
            let seen = Mutex<[JobID: [UInt8]]>([:])
            let harness = ErrandHarness(clock: clock, store: store) { handlers, _ in
                handlers.add(Order.self) { order, context in
                    seen.withLock { $0[context.id] = context.record.payload.bytes }
                    // What was decoded can be used.
                    _ = (order.who.count, order.weight + 1, order.count / 2, "\(order)".utf8.count)
                }
            }
            _ = try await harness.client.enqueue(prepared: jobs)
            try await harness.runDue()
            var ends: [JobState: Int] = [:]
            for job in jobs {
                let record = try #require(try await store.jobs([job.id], parts: .payload).first, "\(again)")
                ends[record.state, default: 0] += 1
                #expect(record.payload == job.payload, "the stored bytes, \(again)")
                if let bytes = seen.withLock({ $0[job.id] }) {
                    #expect(bytes == job.payload.bytes, "the bytes of the handler, \(again)")
                    #expect(record.state == .succeeded, "\(again)")
                } else {
                    #expect(record.state == .failed && record.reason == .undecodable, "\(record.state), \(again)")
                    #expect(record.attempt == 0 && record.error?.message.isEmpty == false, "\(again)")
                }
            }
            return ends
        }
    }
}
