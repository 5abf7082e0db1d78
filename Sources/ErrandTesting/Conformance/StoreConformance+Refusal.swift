// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    static let refusalCases: [Case] = [
        Case("a refused follow-up undoes its settlement: nothing is written and the lease holds") { bench in
            let worker = try await bench.worker()
            let holder = try await bench.put(bench.job(start: .after(.hours(1)), unique: .refusing("k")))
            let claimed = try await bench.run(bench.job { $0.resultTTL = .hours(1) }, on: worker)
            let (before, counts) = (try await bench.record(claimed.record.id), try await bench.store.counts())
            bench.clock.advance(by: .seconds(1))
            let good = bench.job("strange", queue: "new") { $0.tags = ["t"] }
            for (bad, code) in [
                (bench.job(unique: .refusing("k")), StoreError.Code.conflict), (bench.job(queue: ""), .invalid),
            ] {
                let answer = try await bench.settle(
                    claimed.lease,
                    .succeeded(result: .text("r")),
                    followUps: [good, bad]
                )
                bench.equal(answer.refusal, code, "the answer")
                bench.equal(try await bench.record(claimed.record.id), before, "the job")
                bench.equal(try await bench.store.counts().rows, counts.rows, "the counts")
                bench.equal(try await bench.all().map(\.id), [claimed.record.id, holder].sorted(by: >), "the jobs")
            }
            // What the refused call made up on its way is not taken for stored.
            bench.equal(try await bench.insert(good), .stored(good.id), "the same follow-up, inserted")
            bench.equal(try await bench.record(good.id).queue, "new", "its queue")
            try await bench.ends(claimed.lease, .success, as: .succeeded)
            bench.equal(try await bench.store.maintain(.recount).affected, 0, "wrong counts")
        },
        Case("a refused follow-up leaves the other settlements of the call alone") { bench in
            let worker = try await bench.worker()
            for _ in 0..<4 { try await bench.put(bench.job()) }
            let leases = try await bench.claim(worker).jobs.map(\.lease)
            let (first, second, third) = (
                bench.job(unique: .refusing("k")), bench.job(unique: .refusing("k")), bench.job()
            )
            let answers = try await bench.store.settle([
                Settlement(lease: leases[0], outcome: .success, followUps: [first]),
                Settlement(lease: leases[1], outcome: .success, followUps: [third, second]),
                Settlement(lease: leases[2], outcome: .failure),
                Settlement(lease: leases[3], outcome: .success, followUps: [third]),
            ])
            bench.equal(answers.map(\.refusal), [nil, .conflict, nil, nil], "the refusals")
            bench.equal(
                answers.filter { $0.refusal == nil },
                [.applied(.succeeded), .applied(.failed), .applied(.succeeded)],
                "the other answers"
            )
            bench.equal(try await bench.state(leases[1].job), .running, "the job whose follow-up was refused")
            bench.equal(try await bench.state(first.id), .ready, "the first follow-up")
            bench.equal(try await bench.state(second.id), nil, "the refused follow-up")
            bench.equal(try await bench.state(third.id), .ready, "the follow-up of the last")
        },
        Case("a follow-up with the key of its own job is refused while that key is not free") { bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "k", conflict: .runAgainAfter)
            let claimed = try await bench.run(bench.job(unique: rule), on: worker)
            let next = bench.job(unique: .refusing("k"))
            let kept = try await bench.settle(claimed.lease, .again(after: .hours(1)), followUps: [next])
            bench.equal(kept.refusal, .conflict, "the answer when the job goes on")
            let waiting = try await bench.put(bench.job(unique: rule))
            let passed = try await bench.settle(claimed.lease, .success, followUps: [next])
            bench.equal(passed.refusal, .conflict, "the answer when another one waits for the key")
            bench.equal(try await bench.state(waiting), .waiting, "the one that waits")
            try await bench.operate(.cancel, waiting)
            bench.equal(
                try await bench.settle(claimed.lease, .success, followUps: [next]),
                .applied(.succeeded),
                "the answer when the key is free"
            )
            bench.equal(try await bench.state(next.id), .ready, "the follow-up")
        },
        Case("a follow-up is not refused for a key whose time is over, unless one that waited has it now") { bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "k", scope: .forTTL(.minutes(10)), conflict: .runAgainAfter)
            _ = try await bench.run(bench.job(unique: rule), on: worker)
            bench.clock.advance(by: .minutes(5))
            _ = try await bench.put(bench.job(unique: rule))
            let claimed = try await bench.run(bench.job(), on: worker)
            let next = bench.job(unique: .refusing("k"))
            for minutes in [0, 5] {
                bench.clock.advance(by: .minutes(minutes))
                let answer = try await bench.settle(claimed.lease, .success, followUps: [next])
                bench.equal(answer.refusal, .conflict, "the answer after \(minutes) more minutes")
            }
            bench.clock.advance(by: .minutes(5))
            let answer = try await bench.settle(claimed.lease, .success, followUps: [next])
            bench.equal(answer, .applied(.succeeded), "the answer when both times are over")
            bench.equal(try await bench.state(next.id), .ready, "the follow-up")
        },
        Case("two follow-ups of one job that want the same key are refused together") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            let pair = [bench.job(unique: .refusing("k")), bench.job(unique: .refusing("k"))]
            let answer = try await bench.settle(claimed.lease, .success, followUps: pair)
            bench.equal(answer.refusal, .conflict, "the answer")
            bench.equal(try await bench.all().map(\.id), [claimed.record.id], "the jobs")
            try await bench.put(bench.job(unique: .refusing("k")))
        },
        Case("a duplicate and a repeated id among the follow-ups are no refusals") { bench in
            let worker = try await bench.worker()
            let holder = bench.job(start: .after(.hours(1)), unique: .refusing("k"))
            try await bench.put(holder)
            let claimed = try await bench.run(on: worker)
            let duplicate = bench.job(unique: UniqueRule(key: "k"))
            let answer = try await bench.settle(claimed.lease, .success, followUps: [holder, duplicate])
            bench.equal(answer, .applied(.succeeded), "the answer")
            bench.equal(try await bench.state(duplicate.id), nil, "the duplicate")
        },
    ]
}

extension UniqueRule {
    fileprivate static func refusing(_ key: String) -> UniqueRule { UniqueRule(key: key, conflict: .throwError) }
}

extension SettleAnswer {
    /// The code of a refusal; `nil` for another answer.
    fileprivate var refusal: StoreError.Code? {
        if case .refused(let error) = self { error.code } else { nil }
    }
}
