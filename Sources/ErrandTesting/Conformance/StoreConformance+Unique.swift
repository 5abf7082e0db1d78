// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    private static func rule(
        _ scope: UniqueRule.Scope = .untilDone,
        _ conflict: UniqueRule.Conflict = .returnExisting
    ) -> UniqueRule {
        UniqueRule(key: "key", scope: scope, conflict: conflict)
    }

    static let uniqueCases: [Case] = [
        Case("until done: a key is taken while its job is pending or runs, and free when it is final") { bench in
            let worker = try await bench.worker()
            for (outcome, state) in outcomes {
                let claimed = try await bench.run(bench.job(unique: rule()), on: worker)
                let id = claimed.record.id
                bench.equal(try await bench.insert(bench.job(unique: rule())), .duplicate(of: id, .running), "running")
                try await bench.ends(claimed.lease, outcome, as: state)
                if state.isFinal {
                    let next = try await bench.put(bench.job(unique: rule()))
                    try await bench.operate(.cancel, next)
                } else {
                    let duplicate = bench.job(start: .after(.hours(1)), unique: rule())
                    bench.equal(try await bench.insert(duplicate).id, id, "the job of the key after \(outcome)")
                    try await bench.operate(.cancel, id)
                }
            }
        },
        Case("until start: a key is free from the first claim on and not taken again by a retry") { bench in
            let worker = try await bench.worker()
            let first = try await bench.put(bench.job(unique: rule(.untilStart)))
            bench.equal(
                try await bench.insert(bench.job(unique: rule(.untilStart))),
                .duplicate(of: first, .ready),
                "before the start"
            )
            let claimed = try await bench.take(worker)
            let second = try await bench.put(bench.job(start: .after(.hours(1)), unique: rule(.untilStart)))
            try await bench.ends(claimed.lease, .again(after: .hours(2)), as: .retrying)
            bench.equal(
                try await bench.insert(bench.job(start: .after(.hours(3)), unique: rule(.untilStart))),
                .duplicate(of: second, .scheduled),
                "after the retry of the first"
            )
        },
        Case("for a time: a key is taken until its time is over, whatever becomes of the job") { bench in
            let worker = try await bench.worker()
            let ttl = rule(.forTTL(.hours(1)))
            let first = try await bench.run(bench.job(unique: ttl), on: worker)
            let id = first.record.id
            bench.equal(try await bench.insert(bench.job(unique: ttl)), .duplicate(of: id, .running), "while it runs")
            try await bench.ends(first.lease, .success, as: .succeeded)
            bench.equal(try await bench.insert(bench.job(unique: ttl)), .duplicate(of: id, .succeeded), "at the end")
            try await bench.operate(.delete, id)
            bench.equal(try await bench.insert(bench.job(unique: ttl)), .duplicate(of: id, .succeeded), "when deleted")
            bench.clock.advance(by: .hours(1) - .microseconds(1))
            _ = try await bench.store.maintain(.sweep)
            bench.equal(try await bench.insert(bench.job(unique: ttl)).id, id, "at the end of its time")
            bench.clock.advance(by: .microseconds(1))
            try await bench.put(bench.job(unique: ttl))
        },
        Case("for a time: the key outlives a pruned job, and a sweep frees it") { bench in
            let worker = try await bench.worker()
            let ttl = rule(.forTTL(.hours(1)))
            let first = try await bench.run(bench.job(unique: ttl), on: worker)
            try await bench.ends(first.lease, .failure, as: .failed)
            bench.clock.advance(by: .minutes(1))
            let policy = RetentionPolicy(ages: [.failed: .seconds(1)])
            bench.equal(try await bench.store.maintain(.prune(policy)).affected, 1, "pruned jobs")
            let id = first.record.id
            bench.equal(try await bench.insert(bench.job(unique: ttl)), .duplicate(of: id, .failed), "when pruned")
            bench.clock.advance(by: .hours(1))
            bench.equal(try await bench.store.maintain(.sweep).affected, 1, "swept keys")
            try await bench.put(bench.job(unique: ttl))
        },
        Case("for a time: a key that is over is free although its job still runs") { bench in
            let worker = try await bench.worker()
            let ttl = rule(.forTTL(.minutes(1)))
            let first = try await bench.run(bench.job(unique: ttl), on: worker)
            bench.clock.advance(by: .minutes(1))
            let second = try await bench.put(bench.job(unique: ttl))
            try await bench.ends(first.lease, .success, as: .succeeded)
            bench.equal(try await bench.insert(bench.job(unique: ttl)).id, second, "the job of the key")
        },
        Case("deleting and cancelling a job frees its key unless that has a TTL") { bench in
            for action in [Operation.Action.delete, .cancel] {
                for scope in [UniqueRule.Scope.untilStart, .untilDone] {
                    let id = try await bench.put(bench.job(unique: rule(scope)))
                    try await bench.operate(action, id)
                    try await bench.operate(.delete, try await bench.put(bench.job(unique: rule(scope))))
                }
                let key = UniqueRule(key: "\(action)", scope: .forTTL(.hours(1)))
                let id = try await bench.put(bench.job(unique: key))
                try await bench.operate(action, id)
                bench.equal(try await bench.insert(bench.job(unique: key)).id, id, "the job of the key with a TTL")
            }
        },
        Case("an expired job frees its key") { bench in
            let id = try await bench.put(bench.job(unique: rule()) { $0.startWithin = .seconds(1) })
            bench.clock.advance(by: .seconds(1))
            _ = try await bench.store.maintain(.expire)
            bench.equal(try await bench.state(id), .expired, "the state")
            try await bench.put(bench.job(unique: rule()))
        },
        Case("a job that is too late to start does not take a newer one of its key with it") { bench in
            for conflict in [UniqueRule.Conflict.returnExisting, .replacePending(.all), .runAgainAfter, .throwError] {
                let unique = rule(.untilDone, conflict)
                let late = try await bench.put(bench.job(unique: unique) { $0.startWithin = .seconds(10) })
                bench.clock.advance(by: .seconds(10))
                let next = try await bench.put(bench.job(unique: unique))
                bench.equal(try await bench.state(late), .expired, "the late job, \(conflict)")
                bench.equal(try await bench.state(next), .ready, "the newer job, \(conflict)")
                try await bench.operate(.cancel, next)
            }
        },
        Case("a held job keeps its key although it is too late to start") { bench in
            let late = try await bench.put(bench.job(unique: rule()) { $0.startWithin = .seconds(10) })
            try await bench.operate(.hold(lasting: nil), late)
            bench.clock.advance(by: .seconds(10))
            let answer = try await bench.insert(bench.job(unique: rule()))
            bench.equal(answer, .duplicate(of: late, .ready), "the answer")
        },
        Case("jobs with other keys or without keys do not meet") { bench in
            for key in ["a", "b", "ab", "a "] { try await bench.put(bench.job(unique: UniqueRule(key: key))) }
            for _ in 0..<3 { try await bench.put(bench.job()) }
            bench.equal(try await bench.store.counts().count(), 7, "jobs")
        },
        Case("the same key is the same job whatever its queue and name") { bench in
            let id = try await bench.put(bench.job("mail", queue: "a", unique: rule()))
            bench.equal(try await bench.insert(bench.job("call", queue: "b", unique: rule())).id, id, "the job")
        },
        Case("duplicates inside one insert are found, in order") { bench in
            let jobs = [bench.job(unique: rule()), bench.job(), bench.job(unique: rule()), bench.job(unique: rule())]
            let first = jobs[0].id
            let answers = try await bench.store.insert(jobs, offer: nil)
            let wanted: [InsertAnswer] = [
                .stored(first), .stored(jobs[1].id), .duplicate(of: first, .ready), .duplicate(of: first, .ready),
            ]
            bench.equal(answers, wanted, "the answers")
        },
        Case("a retry of a finished job takes its key again, or is refused when another job has it") { bench in
            let worker = try await bench.worker()
            let first = try await bench.run(bench.job(unique: rule()), on: worker)
            try await bench.ends(first.lease, .failure, as: .failed)
            let id = first.record.id
            let second = try await bench.put(bench.job(unique: rule()))
            let before = try await bench.record(id)
            let refused = try await bench.operate(.retry(spread: .zero), id)
            bench.equal(refused.changed, [], "the retried jobs")
            bench.expect(refused.refused[id]?.contains("\(second)") == true, "the refusal names the other job")
            bench.equal(try await bench.record(id), before, "the record after the refusal")
            try await bench.operate(.cancel, second)
            bench.equal(try await bench.operate(.retry(spread: .zero), id).changed, [id], "the retried jobs")
            bench.equal(try await bench.insert(bench.job(unique: rule())), .duplicate(of: id, .ready), "the key's job")
        },
    ]

    static let raceCases: [Case] = [
        Case("of 64 concurrent enqueuers of one key exactly one stores a job") { bench in
            for conflict in [UniqueRule.Conflict.returnExisting, .throwError, .replacePending(.all)] {
                let unique = UniqueRule(key: "race \(conflict)", conflict: conflict)
                let jobs = (0..<64).map { _ in bench.job(unique: unique) }
                let store = bench.store
                let answers = try await withThrowingTaskGroup(of: InsertAnswer?.self) { group in
                    for job in jobs { group.addTask { try await store.insert([job], offer: nil).first } }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                let stored = answers.filter { answer in jobs.contains { answer == .stored($0.id) } }
                bench.equal(stored.count, 1, "stored jobs with \(conflict)")
                let winner = stored.first.flatMap { $0?.id }
                for answer in answers where answer != stored.first {
                    switch (conflict, answer) {
                    case (.throwError, .refused(let error)): bench.equal(error.code, .conflict, "the code")
                    case (.returnExisting, .duplicate(let id, _)): bench.equal(id, winner, "the job of the key")
                    case (.replacePending, .replaced(let id)): bench.equal(id, winner, "the job of the key")
                    default: bench.expect(false, "\(String(describing: answer)) with \(conflict)")
                    }
                }
                bench.equal(try await bench.all(JobFilter(uniqueKey: unique.key)).count, 1, "jobs with the key")
            }
        },
        Case("concurrent claims never give one job to two workers") { bench in
            _ = try await bench.store.insert((0..<500).map { _ in bench.job() }, offer: nil)
            var workers: [WorkerID] = []
            for _ in 0..<8 { workers.append(try await bench.worker()) }
            let claimed = try await withThrowingTaskGroup(of: [JobID].self) { group in
                for worker in workers {
                    group.addTask {
                        var ids: [JobID] = []
                        while true {
                            let jobs = try await bench.claim(worker, 7).jobs
                            if jobs.isEmpty { return ids }
                            ids += jobs.map(\.record.id)
                        }
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            bench.equal(claimed.count, 500, "claims")
            bench.equal(Set(claimed).count, 500, "claimed jobs")
        },
        Case("of concurrent settlements of one lease exactly one holds") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            let store = bench.store
            let answers = try await withThrowingTaskGroup(of: [SettleAnswer].self) { group in
                for index in 0..<32 {
                    let outcome: Outcome = index.isMultiple(of: 2) ? .success : .failure
                    group.addTask { try await store.settle([Settlement(lease: claimed.lease, outcome: outcome)]) }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            bench.equal(answers.count { $0 != .leaseLost }, 1, "settlements that held")
        },
        Case("a call runs to its end although its task is cancelled") { bench in
            let jobs = (0..<20).map { _ in bench.job() }
            let store = bench.store
            for job in jobs {
                let task = Task { try await store.insert([job], offer: nil) }
                task.cancel()
                bench.equal(try await task.value, [.stored(job.id)], "the answer to a cancelled caller")
            }
            bench.equal(try await bench.store.counts().count(.ready), 20, "stored jobs")
        },
    ]
}
