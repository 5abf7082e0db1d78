// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Foundation
import Testing

/// The real worker, client and memory store under a scheduler, a clock and a network that a seed decides.
///
/// - `SIMULATION_SECONDS`: how long new seeds are begun; 20.
/// - `SIMULATION_BASE`: the first seed; random unless given.
/// - `SIMULATION_SEED`: only this one, told in full.
/// - `SIMULATION_THREADS`: how many run side by side; 1.
@Suite("Simulation")
struct SimulationTests {
    static let environment = ProcessInfo.processInfo.environment

    static func number(_ name: String) -> UInt64? { environment[name].flatMap { UInt64($0) } }

    static let threads = Int(number("SIMULATION_THREADS") ?? 1)

    @Test("no promise is broken, whatever goes wrong between workers, clients and their store")
    func campaign() async throws {
        if let seed = Self.number("SIMULATION_SEED") { return try await replay(seed) }
        let base = Self.number("SIMULATION_BASE") ?? UInt64.random(in: 1...1_000_000_000)
        let limit = Duration.seconds(Int64(Self.number("SIMULATION_SECONDS") ?? 20))
        let begin = SystemClock.shared.uptime
        let total = try await Campaign(base: base)
            .run(threads: Self.threads) { _ in
                SystemClock.shared.uptime - begin < limit
            }
        print("simulation: from seed \(base) for \(Int((SystemClock.shared.uptime - begin).inSeconds)) s")
        print(total)
        #expect(total.differing.isEmpty, "a seed must give the same run twice")
        for (seed, result) in total.failed { try await report(seed, result) }
        #expect(total.rescues > 0, "void: no worker's jobs were rescued")
        #expect(total.staleWrites > 0, "void: no stale write was refused")
        #expect(total.faults["lost-answer"] ?? 0 > 0, "void: no answer was lost")
    }

    private func replay(_ seed: UInt64) async throws {
        let plan = SimulationPlan(seed: seed)
        let result = try await Self.alone { SimulatedRun(plan).run() }
        print("seed \(seed): \(result.steps) steps, \(result.time), digest \(result.digest)")
        if !result.violations.isEmpty { try await report(seed, result) }
    }

    private func report(_ seed: UInt64, _ result: SimulationResult) async throws {
        guard let violation = result.violations.first else { return }
        let shrinking = try await Self.alone {
            var shrinking = Shrinking(SimulationPlan(seed: seed), result, id: violation.id, flaw: nil)
            shrinking.shrink()
            return shrinking
        }
        Issue.record(
            """
            SIMULATION_SEED=\(seed) breaks \(violation.id): \(violation.message)
            In short (\(result.events.count) events, \(shrinking.result.events.count) after shrinking):
            \(shrinking.story())
            """
        )
    }

    /// Runs work that takes long where nobody waits for the thread.
    static func alone<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async throws -> Value {
        let pool = ThreadPool(threads: 1, name: "simulation", clock: SystemClock.shared)
        defer { pool.stop() }
        return try await pool.runBlocking(body)
    }
}
