// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting

/// Makes a plan that breaks a promise smaller, as long as the same promise is broken.
struct Shrinking {
    let flaw: Flaw?
    /// The promise.
    let id: String
    /// How many more plans may be tried.
    var budget = 400
    private(set) var plan: SimulationPlan
    private(set) var result: SimulationResult

    init(_ plan: SimulationPlan, _ result: SimulationResult, id: String, flaw: Flaw?) {
        self.plan = plan
        self.result = result
        self.id = id
        self.flaw = flaw
    }

    /// Leaves out what is not needed: what goes wrong, what operators do, jobs, workers, then the waits.
    mutating func shrink() {
        var size = 0
        repeat {
            size = plan.faults.count + plan.operations.count + plan.jobs.count + plan.workers.count
            drop(from: \.faults)
            drop(from: \.operations)
            drop(from: \.jobs)
            drop(from: \.workers, keeping: 1)
        } while size > plan.faults.count + plan.operations.count + plan.jobs.count + plan.workers.count
        attempt { $0.stepTime = .zero }
        attempt { $0.latency = .zero }
        for index in plan.workers.indices { attempt { $0.workers[index].skew = .zero } }
        for index in plan.jobs.indices {
            attempt { $0.jobs[index].unique = nil }
            attempt { $0.jobs[index].start = .zero }
            attempt { $0.jobs[index].acts.removeLast(max($0.jobs[index].acts.count - 1, 0)) }
        }
    }

    private mutating func drop<Part>(from parts: WritableKeyPath<SimulationPlan, [Part]>, keeping least: Int = 0) {
        var chunk = max(plan[keyPath: parts].count / 2, 1)
        while true {
            var start = 0
            while start < plan[keyPath: parts].count, plan[keyPath: parts].count > least {
                let end = min(start + chunk, plan[keyPath: parts].count)
                let isDropped = attempt { plan in
                    if plan[keyPath: parts].count - (end - start) >= least {
                        plan[keyPath: parts].removeSubrange(start..<end)
                    }
                }
                if !isDropped { start += chunk }
            }
            if chunk == 1 { return }
            chunk /= 2
        }
    }

    /// Keeps a change if the promise is still broken.
    @discardableResult
    private mutating func attempt(_ change: (inout SimulationPlan) -> Void) -> Bool {
        var smaller = plan
        change(&smaller)
        guard budget > 0, smaller.size < plan.size else { return false }
        budget -= 1
        // What is left out changes what the seed means for the rest, so each smaller plan gets a few chances.
        for luck in 0..<3 {
            smaller.seed = plan.seed &+ UInt64(luck)
            let outcome = SimulatedRun(smaller, flaw: flaw).run()
            guard outcome.violations.contains(where: { $0.id == id }) else { continue }
            (plan, result) = (smaller, outcome)
            return true
        }
        return false
    }

    /// The plan and what came of it, at most this many lines.
    func story(lines: Int = 30) -> String {
        let plan = plan.description
        let left = max(lines - plan.split(separator: "\n").count - 2, 6)
        let shown = result.violations.first { $0.id == id }
        return plan + "\n" + (shown.map { HistoryStory($0, of: result.events, limit: left).description.plain } ?? "")
    }
}

extension SimulationPlan {
    /// How much there is to read.
    fileprivate var size: Int {
        let waits = [stepTime, latency] + workers.map(\.skew) + jobs.map(\.start)
        let parts = faults.count + operations.count + jobs.count + workers.count
        return parts * 1000 + waits.count { $0 != .zero } + jobs.count { $0.unique != nil }
            + jobs.reduce(0) { $0 + $1.acts.count }
    }
}
