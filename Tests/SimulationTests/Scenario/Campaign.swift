// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization

/// Many simulations, one seed after the other, on threads of their own.
final class Campaign: Sendable {
    /// What all of them came to together.
    struct Total: Sendable {
        var seeds = 0
        var repeated = 0
        var steps = 0
        var time: Duration = .zero
        var jobs = 0
        var rescues = 0
        var staleWrites = 0
        var faults: [String: Int] = [:]
        var differing: [UInt64] = []
        /// The first seeds that broke a promise.
        var failed: [(seed: UInt64, result: SimulationResult)] = []

        mutating func add(_ result: SimulationResult, seed: UInt64) {
            seeds += 1
            steps += result.steps
            time += result.time
            faults.merge(result.faults, uniquingKeysWith: +)
            for event in result.events {
                switch event.what {
                case .changed(_, nil, .some): jobs += 1
                case .changed(_, let before?, let after?) where after.crashes > before.crashes: rescues += 1
                case .effect(_, .settle(let answers)): staleWrites += answers.count { $0 == .leaseLost }
                case .effect(_, .note(let held)): staleWrites += held.count { !$0 }
                default: break
                }
            }
            if !result.violations.isEmpty, failed.count < 3 { failed.append((seed, result)) }
        }
    }

    private let next: Mutex<UInt64>
    private let total = Mutex(Total())
    private let flaw: Flaw?

    /// - Parameter base: The first seed.
    init(base: UInt64, flaw: Flaw? = nil) {
        next = Mutex(base)
        self.flaw = flaw
    }

    /// Runs seeds while `goesOn` says so, each twentieth of them twice, until one breaks a promise.
    func run(threads: Int, while goesOn: @escaping @Sendable (_ seeds: Int) -> Bool) async throws -> Total {
        let pool = ThreadPool(threads: threads, name: "simulation", clock: SystemClock.shared)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<threads {
                group.addTask {
                    try await pool.runBlocking {
                        while goesOn(self.total.withLock { $0.seeds }), self.runNext() {}
                    }
                }
            }
            try await group.waitForAll()
        }
        pool.stop()
        return total.withLock { $0 }
    }

    private func runNext() -> Bool {
        let seed = next.withLock { next in
            defer { next &+= 1 }
            return next
        }
        let plan = SimulationPlan(seed: seed)
        let result = SimulatedRun(plan, flaw: flaw).run()
        let again = seed % 20 == 0 && flaw == nil ? SimulatedRun(plan).run() : nil
        return total.withLock { total in
            total.add(result, seed: seed)
            if let again {
                total.repeated += 1
                if again.digest != result.digest || again.events.count != result.events.count {
                    total.differing.append(seed)
                }
            }
            return total.failed.isEmpty
        }
    }
}

extension Campaign.Total: CustomStringConvertible {
    var description: String {
        let kinds = faults.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        let count = faults.values.reduce(0, +)
        return "simulation: \(seeds) seeds, \(steps) steps, \(Int(time.inSeconds)) s of virtual time, \(jobs) jobs, "
            + "\(rescues) rescues, \(staleWrites) stale writes refused, \(repeated) seeds run twice alike, "
            + "\(count) faults (\(kinds)), violations \(failed.count)"
    }
}
