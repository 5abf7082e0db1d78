// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    /// The seeds of the random walks.
    ///
    /// A failure names its seed; put it here to keep it.
    static let seeds: [UInt64] = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89]

    static let randomCases: [Case] = seeds.map { seed in
        Case("a random walk with seed \(seed) does the same as the plain model at every step") { bench in
            var walk = RandomWalk(seed: seed, bench: bench)
            try await walk.run(steps: 300)
        }
    }
}

/// A few hundred random operations over a handful of jobs, on a store and on the plain model.
private struct RandomWalk {
    let seed: UInt64
    let bench: StoreBench
    var generator: SeededGenerator
    var model = PlainStore()
    var known: [NewJob] = []
    var leases: [Lease] = []
    var workers: [WorkerID] = []
    var story: [String] = []

    init(seed: UInt64, bench: StoreBench) {
        self.seed = seed
        self.bench = bench
        generator = SeededGenerator(seed: seed)
    }

    mutating func run(steps: Int) async throws {
        for step in 0..<steps {
            model.now = bench.now
            while workers.count < 2 {
                let worker = try await bench.worker()
                workers.append(worker)
                model.register(worker)
            }
            guard try await isAlike(after: try await act(), step) else { return }
        }
        bench.equal(try await bench.store.maintain(.recount).affected, 0, "counts repaired, seed \(seed)")
        let counts = try await bench.store.counts()
        for state in JobState.allCases {
            bench.equal(counts.count(state), model.jobs.count { $0.state == state }, "\(state) jobs, seed \(seed)")
        }
    }

    /// Whether the answer and all records are those of the model; tells the last steps when not.
    private mutating func isAlike(after step: (what: String, got: String, wanted: String), _ number: Int) async throws
        -> Bool
    {
        story.append(step.what)
        let ids = model.jobs.map(\.id)
        let records = try await bench.store.jobs(ids, parts: .payload)
        let different = zip(records, model.jobs).first { $0 != $1 }
        let isAlike = step.got == step.wanted && records.count == ids.count && different == nil
        guard !isAlike else { return true }
        let detail = different.map { "\($0.0) should be \($0.1)" } ?? "\(records.count) of \(ids.count) jobs"
        bench.expect(
            false,
            """
            seed \(seed) step \(number): got \(step.got), wanted \(step.wanted); \(detail)
            after \(story.suffix(12).joined(separator: " | "))
            """
        )
        return false
    }

    private mutating func pick(_ count: Int) -> Int { Int.random(in: 0..<max(count, 1), using: &generator) }

    private mutating func act() async throws -> (what: String, got: String, wanted: String) {
        switch pick(20) {
        case 0..<5: try await insert()
        case 5..<9: try await claim()
        case 9..<13: try await settle()
        case 13..<16: try await operate()
        case 16: try await beat()
        case 17, 18: try await maintain()
        default: try await pass()
        }
    }

    private mutating func insert() async throws -> (String, String, String) {
        let job = known.isEmpty || pick(8) > 0 ? newJob() : known[pick(known.count)]
        known.append(job)
        let (got, wanted) = (try await bench.insert(job), model.insert(job))
        return ("insert \(job.id) \(String(describing: job.unique))", words(got), words(wanted))
    }

    private func words(_ answer: InsertAnswer) -> String {
        if case .refused(let error) = answer { return "refused \(error.code)" }
        return "\(answer)"
    }

    private mutating func newJob() -> NewJob {
        let conflicts: [UniqueRule.Conflict] = [
            .returnExisting, .throwError, .runAgainAfter, .replacePending(.all), .replacePending(.payload),
        ]
        let scopes: [UniqueRule.Scope] = [.untilDone, .untilStart, .forTTL(.minutes(pick(20) + 1))]
        var rule: UniqueRule?
        if pick(3) > 0 {
            rule = UniqueRule(key: "k\(pick(3))", scope: scopes[pick(3)], conflict: conflicts[pick(conflicts.count)])
        }
        let starts: [NewJob.Start] = [.now, .now, .after(.minutes(pick(10))), .after(.hours(1))]
        let (start, level, version) = (starts[pick(4)], pick(10), pick(9) == 0 ? 2 : 1)
        let (attempts, late) = (pick(3) + 1, pick(5))
        // A follow-up that is late at the very instant it is let go could be written either way.
        let mayBeLate = rule == nil
        return bench.job(
            pick(9) == 0 ? "strange" : "mail",
            text: "\(known.count)",
            version: version,
            priority: JobPriority(level),
            start: start,
            unique: rule
        ) {
            $0.retry = .attempts(attempts, backoff: .none)
            $0.crashesAllowed = 1
            if mayBeLate && late == 0 { $0.startWithin = .minutes(15) }
            if mayBeLate && late == 1 { $0.deadline = .minutes(30) }
        }
    }

    private mutating func claim() async throws -> (String, String, String) {
        // What is late goes first, so that a claim meets none of it.
        _ = try await bench.store.maintain(.expire)
        model.expire()
        let (worker, limit) = (workers[pick(workers.count)], pick(3) + 1)
        let claimed = try await bench.claim(worker, limit).jobs
        leases += claimed.map(\.lease)
        let wanted = model.claim(worker, limit, names: StoreBench.names)
        return ("claim \(limit)", "\(claimed.map(\.record))", "\(wanted.map(\.record))")
    }

    private mutating func settle() async throws -> (String, String, String) {
        guard !leases.isEmpty else { return ("nothing", "", "") }
        let index = pick(2) == 0 ? leases.count - 1 : pick(leases.count)
        let outcomes = StoreConformance.outcomes
        let (lease, outcome) = (leases[index], outcomes[pick(outcomes.count)].0)
        let (got, wanted) = (try await bench.settle(lease, outcome), model.settle(lease, outcome))
        return ("settle \(lease.job) \(outcome)", "\(got)", "\(wanted)")
    }

    private mutating func operate() async throws -> (String, String, String) {
        guard !known.isEmpty else { return ("nothing", "", "") }
        let actions: [Operation.Action] = [
            .cancel, .retry(spread: .zero), .retry(spread: .zero), .hold(lasting: .minutes(5)), .hold(lasting: nil),
            .release, .release, .delete, .edit(JobEdit(priority: JobPriority(pick(10)))),
            .edit(JobEdit(start: .after(.minutes(pick(5))))), .edit(JobEdit(payload: .text("edited"))),
        ]
        let id = known[pick(known.count)].id
        let operation = Operation(actions[pick(actions.count)], on: .ids([id]), actor: "ada", reason: "walk")
        let report = try await bench.store.operate(operation)
        let got = report.changed == [id] ? "changed" : report.unchanged == 1 ? "unchanged" : "refused"
        let wanted =
            switch model.operate(operation, on: id) {
            case .changed: "changed"
            case .unchanged: "unchanged"
            case .refused: "refused"
            }
        return ("\(operation.action) \(id)", got, wanted)
    }

    private mutating func beat() async throws -> (String, String, String) {
        let worker = workers[pick(workers.count)]
        var held = model.jobs.filter { $0.state == .running && $0.worker == worker }
        if !held.isEmpty, pick(3) == 0 { held.remove(at: pick(held.count)) }
        let leases = held.map { Lease(job: $0.id, worker: worker, epoch: $0.epoch, row: row(of: $0.id)) }
        let answer = try await bench.store.beat(Beat(worker: worker, held: leases, accountedThrough: bench.now))
        let asked = Set(held.filter { $0.cancelRequest != nil }.map(\.id))
        let wanted = model.beat(worker, held: leases)
        bench.equal(Set(answer.cancels.keys), asked, "cancels, seed \(seed)")
        return ("beat", "\(answer.isKnown) \(answer.lost) \(answer.released)", "true [] \(wanted)")
    }

    private func row(of id: JobID) -> Int64 { leases.last { $0.job == id }?.row ?? 0 }

    private mutating func maintain() async throws -> (String, String, String) {
        switch pick(5) {
        case 0:
            let report = try await bench.store.maintain(.rescue(silence: .minutes(12)))
            let wanted = model.rescue(silence: .minutes(12))
            workers.removeAll { model.workers[$0] == nil }
            return ("rescue", "\(report.rescued == wanted)", "true")
        case 1:
            _ = try await bench.store.maintain(.sweep)
            model.sweep()
            return ("sweep", "", "")
        case 2:
            let ages = Dictionary(
                uniqueKeysWithValues: JobState.allCases.filter(\.isFinal).map { ($0, Duration.hours(1)) }
            )
            _ = try await bench.store.maintain(.prune(RetentionPolicy(ages: ages)))
            model.prune(after: .hours(1))
            return ("prune", "", "")
        case 3:
            _ = try await bench.store.maintain(.expire)
            model.expire()
            return ("expire", "", "")
        default:
            model.isPaused.toggle()
            try await bench.store.setControls([
                model.isPaused
                    ? .pause(.everything, actor: "ada", reason: "walk", lasting: nil)
                    : .resume(.everything, actor: "ada", reason: "walk")
            ])
            return ("pause \(model.isPaused)", "", "")
        }
    }

    private mutating func pass() async throws -> (String, String, String) {
        let wait = Duration.seconds(pick(600))
        bench.clock.advance(by: wait)
        model.now = bench.now
        return ("wait \(wait)", "", "")
    }
}
