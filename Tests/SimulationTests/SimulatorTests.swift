// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Synchronization
import Testing

@Suite("Simulator", .timeLimit(.minutes(1)))
struct SimulatorTests {
    private final class Words: Sendable {
        private let words = Mutex<[String]>([])

        func say(_ word: String) { words.withLock { $0.append(word) } }

        var all: [String] { words.withLock { $0 } }
    }

    @Test("a seed gives the same run again, another seed another")
    func seeds() async throws {
        let (one, again, other) = try await SimulationTests.alone {
            func digest(_ seed: UInt64) -> UInt64 { SimulatedRun(SimulationPlan(seed: seed)).run().digest }
            return (digest(11), digest(11), digest(12))
        }
        #expect(one == again)
        #expect(one != other)
    }

    @Test("of tasks that could run the seed picks one, and time stands while any can")
    func order() {
        var orders: Set<[String]> = []
        for seed in 1...20 {
            let simulator = Simulator(seed: UInt64(seed))
            let process = SimulatedProcess(number: 1, in: simulator)
            let words = Words()
            for word in ["a", "b", "c"] { Task(executorPreference: process.lane(word)) { words.say(word) } }
            _ = process.schedule(after: .seconds(1)) { words.say("later") }
            simulator.run(until: .minutes(1))
            #expect(words.all.count == 4)
            #expect(words.all.last == "later")
            orders.insert(words.all)
        }
        #expect(orders.count > 2, "\(orders)")
    }

    @Test("a paused process does nothing until it goes on; one that crashed does nothing until it is taken apart")
    func stopped() {
        for isCrash in [false, true] {
            let simulator = Simulator(seed: 1)
            let process = SimulatedProcess(number: 1, in: simulator)
            let words = Words()
            Task(executorPreference: process.lane("task")) {
                try await process.sleep(for: .seconds(1))
                words.say("woke at \(process.uptime.inSeconds)")
            }
            simulator.run(until: .milliseconds(500))
            if isCrash { process.crash() } else { process.pause() }
            simulator.run(until: .seconds(9))
            #expect(words.all.isEmpty)
            process.resume()
            simulator.run(until: .seconds(10))
            #expect(words.all == (isCrash ? [] : ["woke at 9.0"]))
            process.thaw()
            simulator.run(until: .seconds(11))
            #expect(words.all == [isCrash ? "woke at 10.0" : "woke at 9.0"])
        }
    }

    @Test("a process that dies of a job which landed long after the healing is started again")
    func landsLate() async throws {
        var plan = SimulationPlan(
            seed: 1,
            workers: [WorkerPlan(number: 1, slots: 1, readAhead: 0, skew: .zero, isOld: false)],
            jobs: [],
            operations: [],
            faults: [],
            latency: .zero,
            stepTime: .zero,
            retention: .hours(24),
            length: .seconds(20)
        )
        let job = JobPlan(number: 1, at: .seconds(2), process: 1, acts: [.killProcess(after: .seconds(1))])
        plan.jobs = [job]
        plan.faults = [
            FaultPlan(at: .seconds(2), kind: .call(1, .late(.seconds(55)))),
            FaultPlan(at: .seconds(10), kind: .crash(1, restartAfter: .seconds(2))),
        ]
        let result = try await SimulationTests.alone { [plan] in SimulatedRun(plan).run() }
        #expect(result.violations.isEmpty, "\(result.violations)")
        #expect(result.faults["late-call"] == 1)
        #expect(result.faults["crash"] ?? 0 > 1, "void: the job killed nobody")
    }
}
