// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    /// Every outcome with the state it leads to when nobody asked for a cancel.
    static let outcomes: [(Outcome, JobState)] = [
        (.succeeded(result: nil), .succeeded), (.succeeded(result: .text("r")), .succeeded),
        (.again(after: .seconds(5)), .retrying), (.again(after: .zero), .ready),
        (.retry(after: .seconds(5), error: .sample, timedOut: true), .retrying),
        (.failed(.permanent, error: .sample, timedOut: false), .failed),
        (.failed(.exhausted, error: .sample, timedOut: true), .failed),
        (.snoozed(.seconds(5)), .scheduled), (.snoozed(.zero), .ready), (.released, .ready),
        (.cancelled(reason: "enough"), .cancelled), (.abandoned(reason: "stuck"), .cancelled),
        (.undecodable(.sample), .failed),
    ]

    static let settleCases: [Case] = [
        Case("every outcome leaves the record that the core decides") { bench in
            let worker = try await bench.worker()
            for (outcome, state) in outcomes {
                let claimed = try await bench.run(on: worker)
                bench.clock.advance(by: .seconds(1))
                var wanted = claimed.record
                let settled = wanted.settle(outcome, at: bench.now)
                wanted.attempts = settled.attempt.map { [$0] } ?? []
                wanted.result = settled.result
                try await bench.ends(claimed.lease, outcome, as: state)
                bench.equal(try await bench.record(claimed.record.id), wanted, "the record after \(outcome)")
                try await bench.operate(state.isFinal ? .delete : .cancel, claimed.record.id)
            }
        },
        Case("a running job that was asked to stop ends cancelled, or failed for good, whatever the outcome") { bench in
            let worker = try await bench.worker()
            for (outcome, state) in outcomes {
                let claimed = try await bench.run(on: worker)
                let report = try await bench.operate(.cancel, claimed.record.id, reason: "stop it")
                bench.equal(report.changed, [claimed.record.id], "the report")
                let asked = try await bench.record(claimed.record.id)
                bench.equal(asked.state, .running, "the state after the request")
                let request = CancelRequest(actor: "ada", reason: "stop it", at: bench.now)
                bench.equal(asked.cancelRequest, request, "the request")
                try await bench.ends(claimed.lease, outcome, as: state == .failed ? .failed : .cancelled)
                bench.equal(try await bench.claim(worker).jobs.count, 0, "jobs to run after \(outcome)")
                bench.equal(try await bench.record(claimed.record.id).result, nil, "the result")
            }
        },
        Case("failures count to the maximum and then the job is exhausted") { bench in
            let worker = try await bench.worker()
            let id = try await bench.put(bench.job { $0.retry = .attempts(3) })
            for number in 1...3 {
                let claimed = try await bench.take(worker)
                bench.equal(claimed.record.attempt, number, "the attempt")
                try await bench.ends(claimed.lease, .again(after: .zero), as: number < 3 ? .ready : .failed)
            }
            let record = try await bench.record(id)
            bench.equal(record.reason, .exhausted, "the reason")
            bench.equal(record.failures, 3, "the failures")
            bench.equal(record.attempts.map(\.number), [1, 2, 3], "the attempts")
            bench.equal(record.error, .sample, "the error")
        },
        Case("snooze, release and an undecodable payload give the attempt back") { bench in
            let worker = try await bench.worker()
            let id = try await bench.put(bench.job { $0.retry = .none })
            for outcome in [Outcome.snoozed(.zero), .released, .snoozed(.zero), .released] {
                let claimed = try await bench.take(worker)
                bench.equal(claimed.record.attempt, 1, "the attempt")
                try await bench.ends(claimed.lease, outcome, as: .ready)
            }
            let claimed = try await bench.take(worker)
            try await bench.ends(claimed.lease, .undecodable(.sample), as: .failed)
            let record = try await bench.record(id)
            bench.equal(record.attempt, 0, "attempts used")
            bench.equal([record.snoozes, record.releases, record.failures], [2, 2, 0], "snoozes, releases, failures")
            bench.equal(record.reason, .undecodable, "the reason")
            bench.equal(Set(record.attempts.map(\.epoch)).count, 5, "epochs of the kept attempts")
        },
        Case("a wait of ten years is kept") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            try await bench.ends(claimed.lease, .again(after: .days(3650)), as: .retrying)
            bench.equal(try await bench.record(claimed.record.id).runAt, bench.now + .days(3650), "the run time")
        },
        Case("follow-ups are stored exactly if the settlement holds") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            let (good, stale) = (bench.job(), bench.job())
            bench.equal(
                try await bench.settle(claimed.lease, .success, followUps: [good]),
                .applied(.succeeded),
                "the settlement"
            )
            bench.equal(try await bench.settle(claimed.lease, .success, followUps: [stale]), .leaseLost, "the repeat")
            bench.equal(try await bench.state(good.id), .ready, "the follow-up")
            bench.equal(try await bench.state(stale.id), nil, "the follow-up of the repeat")
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), [good.id], "the next job")
        },
        Case("a follow-up may have the key that the ended job had") { bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "chain", conflict: .throwError)
            let claimed = try await bench.run(bench.job(unique: rule), on: worker)
            let next = bench.job(unique: rule)
            _ = try await bench.settle(claimed.lease, .success, followUps: [next])
            bench.equal(try await bench.state(next.id), .ready, "the follow-up")
        },
        Case("settlements of one call are answered in order and each on its own") { bench in
            let worker = try await bench.worker()
            for _ in 0..<4 { try await bench.put(bench.job()) }
            let leases = try await bench.claim(worker).jobs.map(\.lease)
            try await bench.ends(leases[1], .success, as: .succeeded)
            let answers = try await bench.store.settle([
                Settlement(lease: leases[3], outcome: .failure), Settlement(lease: leases[1], outcome: .failure),
                Settlement(lease: leases[0], outcome: .success), Settlement(lease: leases[0], outcome: .failure),
                Settlement(lease: leases[2], outcome: .again(after: .zero)),
            ])
            let wanted: [SettleAnswer] = [
                .applied(.failed), .leaseLost, .applied(.succeeded), .leaseLost, .applied(.ready),
            ]
            bench.equal(answers, wanted, "the answers")
            bench.equal(try await bench.store.settle([]), [], "the answers to nothing")
        },
        Case("a thousand jobs are claimed and settled in one call each") { bench in
            let worker = try await bench.worker()
            _ = try await bench.store.insert((0..<1000).map { _ in bench.job() }, offer: nil)
            let claimed = try await bench.claim(worker, 1000).jobs
            bench.equal(claimed.count, 1000, "claimed jobs")
            let answers = try await bench.store.settle(claimed.map { Settlement(lease: $0.lease, outcome: .success) })
            bench.equal(answers, Array(repeating: .applied(.succeeded), count: 1000), "the answers")
            bench.equal(try await bench.store.counts().count(.succeeded), 1000, "succeeded jobs")
        },
    ]
}
