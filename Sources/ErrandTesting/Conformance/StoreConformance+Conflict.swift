// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    private static let scopes: [UniqueRule.Scope] = [.untilStart, .untilDone, .forTTL(.days(9))]

    static let conflictCases: [Case] = [
        Case("every conflict rule meets every scope and pending state as the core decides") { bench in
            let worker = try await bench.worker()
            for scope in scopes {
                for conflict in UniqueRule.samples.filter({ $0.scope == .untilDone }).map(\.conflict) {
                    for state in [JobState.ready, .scheduled, .retrying] {
                        try await bench.collides(scope, conflict, state, worker: worker)
                    }
                }
            }
        },
        Case("returning the existing job keeps the more urgent priority and time of the two") { bench in
            let rule = UniqueRule(key: "k")
            let id = try await bench.put(bench.job(priority: 5, start: .after(.hours(2)), unique: rule))
            let later = bench.job(priority: 7, start: .after(.hours(3)), unique: rule)
            bench.equal(try await bench.insert(later), .duplicate(of: id, .scheduled), "the answer")
            var record = try await bench.record(id)
            bench.equal(record.priority, 7, "the priority")
            bench.equal(record.runAt, bench.now + .hours(2), "the run time")
            let sooner = bench.job(priority: 3, start: .after(.hours(1)), unique: rule)
            bench.equal(try await bench.insert(sooner), .duplicate(of: id, .scheduled), "the answer")
            record = try await bench.record(id)
            bench.equal(record.priority, 7, "the priority")
            bench.equal(record.runAt, bench.now + .hours(1), "the run time")
            bench.equal(
                try await bench.insert(bench.job(unique: rule)),
                .duplicate(of: id, .ready),
                "the answer to now"
            )
            let worker = try await bench.worker()
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), [id], "claimed jobs")
        },
        Case("a more urgent duplicate moves the ready job forward") { bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "k")
            let first = try await bench.put(bench.job())
            let second = try await bench.put(bench.job(unique: rule))
            _ = try await bench.insert(bench.job(priority: .urgent, unique: rule))
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), [second, first], "the order")
        },
        Case("replacing takes exactly the fields that were named") { bench in
            let fields: [ReplaceableFields] = [.payload, .runAt, .priority, .labels, .all, []]
            for (index, field) in fields.enumerated() {
                let rule = UniqueRule(key: "k\(index)", conflict: .replacePending(field))
                let old = bench.job(priority: .high, start: .after(.hours(1)), unique: rule) { $0.tags = ["old"] }
                let id = try await bench.put(old)
                let new = bench.job(text: "new", priority: .low, start: .after(.hours(5)), unique: rule) {
                    $0.tags = ["new"]
                    $0.headers = ["a": "b"]
                }
                bench.equal(try await bench.insert(new), .replaced(id), "the answer")
                let record = try await bench.record(id)
                bench.equal(record.payload == new.payload, field.contains(.payload), "the payload is the new one")
                bench.equal(record.tags == ["new"], field.contains(.labels), "the tags are the new ones")
                bench.equal(record.headers == ["a": "b"], field.contains(.labels), "the headers are the new ones")
                bench.equal(record.priority == .low, field.contains(.priority), "the priority is the new one")
                bench.equal(record.runAt == bench.now + .hours(5), field.contains(.runAt), "the time is the new one")
                bench.equal(record.revision, 2, "the revision")
            }
        },
        Case("a replaced version decides who may claim the job") { bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "k", conflict: .replacePending(.payload))
            let id = try await bench.put(bench.job(unique: rule))
            _ = try await bench.insert(bench.job(version: 2, unique: rule))
            bench.equal(try await bench.claim(worker, names: ["mail": 1]).jobs.count, 0, "claimed by an old worker")
            let claimed = try await bench.claim(worker, names: ["mail": 2]).jobs
            bench.equal(claimed.map(\.record.id), [id], "claimed by a new worker")
        },
        Case("a running job is never replaced") { bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "k", conflict: .replacePending(.all))
            let claimed = try await bench.run(bench.job(unique: rule), on: worker)
            let answer = try await bench.insert(bench.job(text: "new", priority: .urgent, unique: rule))
            bench.equal(answer, .duplicate(of: claimed.record.id, .running), "the answer")
            bench.equal(try await bench.record(claimed.record.id), claimed.record, "the record")
        },
        Case("a conflict that is to be refused is, with the code and the job") { bench in
            let rule = UniqueRule(key: "k", conflict: .throwError)
            let id = try await bench.put(bench.job(unique: rule))
            let before = try await bench.record(id)
            let answer = try await bench.insert(bench.job(priority: .urgent, unique: rule))
            guard case .refused(let error) = answer else { return bench.expect(false, "the answer was \(answer)") }
            bench.equal(error.code, .conflict, "the code")
            bench.equal(try await bench.record(id), before, "the record")
        },
        Case("the rule of the newcomer counts, not that of the job that is there") { bench in
            let id = try await bench.put(bench.job(unique: UniqueRule(key: "k", conflict: .throwError)))
            let answer = try await bench.insert(bench.job(unique: UniqueRule(key: "k")))
            bench.equal(answer, .duplicate(of: id, .ready), "the answer")
        },
        Case("a held job with the key is answered and stays held") { bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "k", conflict: .replacePending(.all))
            let id = try await bench.put(bench.job(start: .after(.hours(1)), unique: rule))
            try await bench.operate(.hold(lasting: nil), id)
            bench.equal(try await bench.insert(bench.job(unique: rule)), .replaced(id), "the answer")
            bench.equal(try await bench.claim(worker).jobs.count, 0, "claimed jobs")
            try await bench.operate(.release, id)
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), [id], "claimed after the release")
        },
    ]

    static let followUpCases: [Case] = [
        Case("run again: an enqueue while the job runs keeps one follow-up with the newest payload") { bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "k", conflict: .runAgainAfter)
            let first = try await bench.run(bench.job(text: "1", unique: rule), on: worker)
            let second = try await bench.put(bench.job(text: "2", unique: rule))
            bench.equal(try await bench.state(second), .waiting, "the follow-up")
            let third = bench.job(text: "3", unique: rule) { $0.tags = ["three"] }
            bench.equal(try await bench.insert(third), .replaced(second), "the answer to a third")
            bench.equal(try await bench.claim(worker).jobs.count, 0, "claimed while the first runs")
            try await bench.ends(first.lease, .success, as: .succeeded)
            let record = try await bench.record(second)
            bench.equal(record.state, .ready, "the follow-up at the end")
            bench.equal(record.payload, .text("3"), "its payload")
            bench.equal(record.tags, ["three"], "its tags")
            let claimed = try await bench.take(worker)
            bench.equal(claimed.record.id, second, "the next job")
            let fourth = try await bench.put(bench.job(text: "4", unique: rule))
            try await bench.ends(claimed.lease, .success, as: .succeeded)
            bench.equal(try await bench.state(fourth), .ready, "the follow-up of the follow-up")
        },
        Case("run again: a pending job takes the newest payload instead") { bench in
            let rule = UniqueRule(key: "k", conflict: .runAgainAfter)
            let id = try await bench.put(bench.job(text: "1", unique: rule))
            bench.equal(try await bench.insert(bench.job(text: "2", unique: rule)), .replaced(id), "the answer")
            bench.equal(try await bench.record(id).payload, .text("2"), "the payload")
        },
        Case("run again: every way a job ends lets its follow-up go, in the same act") { bench in
            for (index, (outcome, state)) in outcomes.enumerated() {
                let worker = try await bench.worker()
                let rule = UniqueRule(key: "k\(index)", conflict: .runAgainAfter)
                let first = try await bench.run(bench.job(unique: rule), on: worker)
                let next = try await bench.put(bench.job(unique: rule))
                try await bench.ends(first.lease, outcome, as: state)
                bench.equal(try await bench.state(next), state.isFinal ? .ready : .waiting, "after \(outcome)")
                if !state.isFinal {
                    try await bench.operate(index.isMultiple(of: 2) ? .cancel : .delete, first.record.id)
                    bench.equal(try await bench.state(next), .ready, "after the first was cancelled or deleted")
                }
                try await bench.operate(.cancel, next)
            }
        },
        Case("run again: a poisoned, expired or cancelled job lets its follow-up go") { bench in
            let rule = UniqueRule(key: "k", conflict: .runAgainAfter)
            var worker = try await bench.worker()
            _ = try await bench.run(bench.job(unique: rule) { $0.crashesAllowed = 0 }, on: worker)
            var next = try await bench.put(bench.job(unique: rule) { $0.deadline = .hours(1) })
            bench.clock.advance(by: .minutes(1))
            _ = try await bench.store.maintain(.rescue(silence: .seconds(30)))
            bench.equal(try await bench.state(next), .ready, "after poison")
            worker = try await bench.worker()
            let second = try await bench.take(worker)
            next = try await bench.put(bench.job(unique: rule))
            try await bench.ends(second.lease, .again(after: .minutes(30)), as: .retrying)
            bench.clock.advance(by: .hours(1))
            _ = try await bench.store.maintain(.expire)
            bench.equal(try await bench.state(second.record.id), .expired, "the second job")
            bench.equal(try await bench.state(next), .ready, "after it expired")
        },
        Case("run again: a newer payload goes to the follow-up even while the job waits for a retry") { bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "k", conflict: .runAgainAfter)
            let first = try await bench.run(bench.job(text: "1", unique: rule), on: worker)
            let next = try await bench.put(bench.job(text: "2", unique: rule))
            try await bench.ends(first.lease, .again(after: .hours(1)), as: .retrying)
            bench.equal(try await bench.insert(bench.job(text: "3", unique: rule)), .replaced(next), "the answer")
            bench.equal(try await bench.record(first.record.id).payload, .text("1"), "the payload of the first")
            bench.equal(try await bench.record(next).payload, .text("3"), "the payload of the follow-up")
        },
        Case("run again: a follow-up with a delay waits for its time after the key is free") { bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "k", conflict: .runAgainAfter)
            let first = try await bench.run(bench.job(unique: rule), on: worker)
            let next = try await bench.put(bench.job(start: .after(.hours(1)), unique: rule))
            try await bench.ends(first.lease, .success, as: .succeeded)
            bench.equal(try await bench.state(next), .scheduled, "the follow-up")
            bench.equal(try await bench.claim(worker).nextDue, bench.now + .hours(1), "the next due time")
        },
        Case("run again: a follow-up that is cancelled or deleted leaves the key to the running job") { bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "k", conflict: .runAgainAfter)
            let first = try await bench.run(bench.job(unique: rule), on: worker)
            for action in [Operation.Action.cancel, .delete] {
                let next = try await bench.put(bench.job(unique: rule))
                bench.equal(try await bench.operate(action, next).changed, [next], "the report of \(action)")
            }
            let existing = try await bench.insert(bench.job(unique: UniqueRule(key: "k")))
            bench.equal(existing, .duplicate(of: first.record.id, .running), "the job of the key")
            let last = try await bench.put(bench.job(unique: rule))
            try await bench.ends(first.lease, .success, as: .succeeded)
            bench.equal(try await bench.state(last), .ready, "the last follow-up")
        },
        Case("run again: a key with a TTL lets its follow-up go at the end of the job, and is then the follow-up's") {
            bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "k", scope: .forTTL(.hours(1)), conflict: .runAgainAfter)
            let first = try await bench.run(bench.job(unique: rule), on: worker)
            bench.clock.advance(by: .minutes(30))
            let next = try await bench.put(bench.job(unique: rule))
            try await bench.ends(first.lease, .success, as: .succeeded)
            bench.equal(try await bench.state(next), .ready, "the follow-up")
            bench.clock.advance(by: .minutes(45))
            bench.equal(try await bench.insert(bench.job(unique: rule)), .replaced(next), "in the follow-up's time")
            bench.clock.advance(by: .minutes(15))
            try await bench.put(bench.job(unique: rule))
        },
        Case("run again: a follow-up is let go when the TTL of a key ends before its job") { bench in
            let worker = try await bench.worker()
            let ttl = UniqueRule(key: "k", scope: .forTTL(.minutes(1)), conflict: .runAgainAfter)
            let first = try await bench.run(bench.job(unique: ttl), on: worker)
            let done = UniqueRule(key: "k", conflict: .runAgainAfter)
            let next = try await bench.put(bench.job(unique: done))
            bench.clock.advance(by: .minutes(1))
            _ = try await bench.store.maintain(.sweep)
            bench.equal(try await bench.state(next), .ready, "the follow-up")
            try await bench.ends(first.lease, .success, as: .succeeded)
            bench.equal(try await bench.insert(bench.job(unique: UniqueRule(key: "k"))).id, next, "the key's job")
        },
    ]
}

extension StoreBench {
    /// An enqueue meets a pending job with its key; record and answer must be those of the core's decision.
    func collides(
        _ scope: UniqueRule.Scope,
        _ conflict: UniqueRule.Conflict,
        _ state: JobState,
        worker: WorkerID
    ) async throws {
        let what = "\(conflict) \(scope) \(state)"
        var rule = UniqueRule(key: what, scope: scope, conflict: conflict)
        let id: JobID
        switch state {
        case .ready:
            id = try await put(job(unique: rule))
        case .scheduled:
            id = try await put(job(start: .after(.hours(1)), unique: rule))
        default:
            let claimed = try await run(job(unique: rule), on: worker)
            try await ends(claimed.lease, .again(after: .hours(1)), as: .retrying)
            id = claimed.record.id
        }
        rule.scope = .untilDone
        let newcomer = job(text: "new", priority: .high, start: .after(.minutes(5)), unique: rule)
        var wanted = try await record(id)
        let isFree = !wanted.holdsUniqueKey
        let collision = isFree ? nil : wanted.collide(with: newcomer, at: now)
        let answer = try await insert(newcomer)
        switch collision {
        case nil, .followUp: equal(answer, .stored(newcomer.id), "the answer to \(what)")
        case .existing: equal(answer, .duplicate(of: id, wanted.state), "the answer to \(what)")
        case .replaced: equal(answer, .replaced(id), "the answer to \(what)")
        case .refused: equal(answer.id, nil, "the answer to \(what)")
        }
        equal(try await record(id), wanted, "the record after \(what)")
        if isFree { try await operate(.cancel, newcomer.id) }
        try await operate(.cancel, id)
    }
}
