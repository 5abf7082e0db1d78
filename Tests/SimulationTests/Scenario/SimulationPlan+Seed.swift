// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting

extension SimulationPlan {
    /// The plan of a seed: a random team, random work, and a random choice of what goes wrong and how often.
    init(seed: UInt64) {
        var dice = Dice(seed: seed)
        let length = dice.duration(30, 100)
        let workers = (1...dice.number(2, 4))
            .map { number in
                WorkerPlan(
                    number: number,
                    slots: dice.number(1, 4),
                    readAhead: dice.chance(0.5) ? dice.number(0, 4) : 0,
                    skew: dice.chance(0.2) ? dice.duration(-600, 600) : .zero,
                    isOld: dice.chance(0.2)
                )
            }
        self.init(
            seed: seed,
            workers: workers,
            jobs: [],
            operations: [],
            faults: [],
            latency: dice.pick([.zero, .milliseconds(2), .milliseconds(50), .milliseconds(400)]),
            stepTime: dice.chance(0.5) ? .zero : .microseconds(dice.number(50, 300)),
            retention: dice.chance(0.3) ? dice.duration(1, 40) : .hours(24),
            length: length
        )
        let features = Features(&dice)
        for number in 0..<dice.number(20, dice.chance(0.2) ? 100 : 45) {
            jobs.append(dice.job(number, workers: workers.count, within: length, features))
        }
        if features.hasOperations {
            for _ in 0..<dice.number(1, 20) {
                operations.append(dice.operation(jobs: jobs.count, workers: workers.count, within: length))
            }
        }
        faults = dice.faults(workers: workers.count, within: length)
    }
}

/// Which kinds of work a seed has: a random choice of few kinds finds more than a little of everything.
struct Features {
    var hasUnique, hasTrouble, hasKillers, hasLimits, hasDelays, hasOperations, hasNewNames: Bool

    init(_ dice: inout Dice) {
        hasUnique = dice.chance(0.5)
        hasTrouble = dice.chance(0.7)
        hasKillers = dice.chance(0.2)
        hasLimits = dice.chance(0.3)
        hasDelays = dice.chance(0.6)
        hasOperations = dice.chance(0.5)
        hasNewNames = dice.chance(0.4)
    }
}

/// Random choices from a seed.
struct Dice {
    var generator: SeededGenerator

    init(seed: UInt64) {
        // Far apart from the neighbours' numbers, which begin one step of the same sequence later.
        generator = SeededGenerator(seed: seed &* 0xd134_2543_de82_ef95)
    }

    mutating func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &generator) < probability }

    mutating func number(_ low: Int, _ high: Int) -> Int { Int.random(in: low...max(low, high), using: &generator) }

    mutating func duration(_ low: Double, _ high: Double) -> Duration {
        .milliseconds(Int64(Double.random(in: low...high, using: &generator) * 1000))
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &generator)]
    }

    mutating func instant(within length: Duration) -> Duration { duration(0, length.inSeconds) }

    mutating func job(_ number: Int, workers: Int, within length: Duration, _ features: Features) -> JobPlan {
        var job = JobPlan(
            number: number,
            at: instant(within: length * 3 / 4),
            process: chance(0.5) ? SimulationPlan.front : self.number(1, workers),
            acts: []
        )
        job.isNew = features.hasNewNames && chance(0.3)
        if chance(0.3) { job.priority = self.number(0, 9) }
        if chance(0.2) { job.queue = "side" }
        if features.hasDelays && chance(0.4) { job.start = duration(0, 30) }
        if features.hasUnique && chance(0.6) { job.unique = unique() }
        if features.hasLimits {
            if chance(0.2) { job.startWithin = duration(0.1, 20) }
            if chance(0.2) { job.deadline = duration(1, 60) }
            if chance(0.3) { job.timeout = duration(0.1, 5) }
        }
        job.attempts = self.number(1, 4)
        job.backoff = duration(0, 5)
        for _ in 0..<self.number(1, 4) { job.acts.append(act(number, features)) }
        // A handler that snoozes for ever has no end to wait for.
        if case .snooze = job.acts.last { job.acts.append(.succeed(after: .zero)) }
        return job
    }

    private mutating func unique() -> UniqueRule {
        let scope: UniqueRule.Scope = pick([.untilStart, .untilDone, .untilDone, .forTTL(duration(0.5, 30))])
        let fields = ReplaceableFields(rawValue: number(0, 15))
        let conflict: UniqueRule.Conflict = pick([
            .returnExisting, .replacePending(fields), .runAgainAfter, .throwError,
        ])
        // One key is always used in one way, as a type of job would.
        return UniqueRule(key: "key-\(number(0, 2))", scope: scope, conflict: conflict)
    }

    private mutating func act(_ number: Int, _ features: Features) -> JobPlan.Act {
        if features.hasKillers && chance(0.1) { return .killProcess(after: duration(0, 1)) }
        guard features.hasTrouble && chance(0.6) else {
            return chance(0.2) ? .talk(duration(0, 4)) : .succeed(after: chance(0.5) ? .zero : duration(0, 5))
        }
        switch self.number(0, 8) {
        case 0, 1: return .fail(after: chance(0.5) ? .zero : duration(0, 3))
        case 2: return .failForGood
        case 3: return .snooze(duration(0, 5))
        case 4: return .retry(after: duration(0, 5))
        case 5: return .cancelItself
        case 6: return .hang(duration(5, 60))
        case 7: return .ignoreCancellation(duration(1, 60))
        default: return .enqueue(1000 + number)
        }
    }

    mutating func operation(jobs: Int, workers: Int, within length: Duration) -> OperationPlan {
        let job = number(0, max(jobs - 1, 0))
        let scope: Pause.Scope = pick([.everything, .queue("side"), .queue(.default), .name(Chore.name)])
        let action: OperationPlan.Action =
            switch number(0, 12) {
            case 0, 1, 2: .cancel(job)
            case 3, 4: .retry(job)
            case 5: .hold(job, lasting: chance(0.5) ? duration(1, 20) : nil)
            case 6: .release(job)
            case 7: .delete(job)
            case 8: .edit(job, priority: number(0, 9), wait: chance(0.5) ? .zero : duration(0, 20))
            case 9: .await(job)
            case 10, 11: .pause(scope, lasting: chance(0.5) ? duration(1, 20) : nil)
            default: .resume(scope)
            }
        let process = chance(0.7) ? SimulationPlan.front : number(1, workers)
        return OperationPlan(at: instant(within: length), process: process, action: action)
    }

    mutating func faults(workers: Int, within length: Duration) -> [FaultPlan] {
        var faults: [FaultPlan] = []
        func add(_ count: Int, _ kind: (inout Dice) -> FaultPlan.Kind, _ dice: inout Dice) {
            for _ in 0..<count { faults.append(FaultPlan(at: dice.instant(within: length), kind: kind(&dice))) }
        }
        if chance(0.5) { add(number(1, 20), { .call($0.number(1, workers), .refused) }, &self) }
        if chance(0.6) { add(number(1, 20), { .call($0.number(1, workers), .answerLost) }, &self) }
        if chance(0.4) { add(number(1, 15), { .call($0.number(1, workers), .repeated) }, &self) }
        if chance(0.4) { add(number(1, 8), { .call($0.number(1, workers), .late($0.duration(0, 60))) }, &self) }
        if chance(0.4) { add(number(1, 8), { .call($0.number(1, workers), .lateAnswer($0.duration(0, 60))) }, &self) }
        if chance(0.3) { add(number(1, 2), { .outage($0.duration(0, 60)) }, &self) }
        if chance(0.4) { add(number(1, 3), { .cut($0.number(1, workers), $0.duration(0, 60)) }, &self) }
        if chance(0.5) { add(number(1, 4), { .dropSignals($0.duration(0, 60)) }, &self) }
        if chance(0.5) {
            add(number(1, 4), { .crash($0.number(1, workers), restartAfter: $0.duration(0, 50)) }, &self)
        }
        if chance(0.5) { add(number(1, 3), { .pause($0.number(1, workers), $0.duration(1, 60)) }, &self) }
        if chance(0.2) { add(number(1, 2), { .clockStep($0.duration(-300, 300)) }, &self) }
        if chance(0.3) { add(number(1, 3), { .deploy($0.number(1, workers)) }, &self) }
        return faults.sorted { $0.at < $1.at }
    }
}
