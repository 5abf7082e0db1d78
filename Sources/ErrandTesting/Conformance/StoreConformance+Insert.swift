// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    static let insertCases: [Case] = [
        Case("a stored job reads back as it was given, with the defaults of a new job") { bench in
            let job = bench.job("mail", queue: "post", priority: .high, start: .after(.seconds(90))) {
                $0.startWithin = .hours(2)
                $0.deadline = .hours(9)
                $0.timeout = .seconds(7)
                $0.retry = .attempts(4, backoff: .linear(.seconds(3), cap: .minutes(9), jitter: 0.5))
                $0.crashesAllowed = 1
                $0.tags = ["b", "a"]
                $0.headers = ["tenant": "x"]
                $0.trace = ["traceparent": "00-1"]
                $0.resultTTL = .minutes(3)
                $0.unique = UniqueRule(key: "k", scope: .untilStart, conflict: .throwError)
            }
            try await bench.put(job)
            bench.equal(try await bench.record(job.id), JobRecord(job, at: bench.now), "the record")
        },
        Case("every scope and conflict rule of a unique key reads back") { bench in
            for (index, rule) in UniqueRule.samples.enumerated() {
                var rule = rule
                rule.key = "key-\(index)"
                let id = try await bench.put(bench.job(unique: rule))
                bench.equal(try await bench.record(id).unique, rule, "the rule")
            }
        },
        Case("every kind of retry policy reads back") { bench in
            let policies: [RetryPolicy] = [
                .default, .none, .untilDeadline(), .attempts(3, backoff: .fixed(.milliseconds(1))),
                .attempts(7, backoff: .polynomial(4)), RetryPolicy(maxAttempts: 2, followsCode: true),
            ]
            for policy in policies {
                let id = try await bench.put(bench.job { $0.retry = policy })
                bench.equal(try await bench.record(id).retry, policy, "the policy")
            }
        },
        Case("a job without a timeout has none") { bench in
            let id = try await bench.put(bench.job { $0.timeout = nil })
            bench.equal(try await bench.record(id).timeout, nil, "the timeout")
        },
        Case("answers come in the order of the jobs, also for a thousand") { bench in
            let jobs = (0..<1000).map { _ in bench.job() }
            bench.equal(try await bench.store.insert(jobs, offer: nil), jobs.map { .stored($0.id) }, "the answers")
            bench.equal(try await bench.store.counts().count(.ready), 1000, "ready jobs")
        },
        Case("an insert of nothing answers nothing") { bench in
            bench.equal(try await bench.store.insert([], offer: nil), [], "the answers")
        },
        Case("repeating an insert answers stored and changes nothing") { bench in
            let worker = try await bench.worker()
            let job = bench.job()
            let claimed = try await bench.run(job, on: worker)
            let before = try await bench.record(job.id)
            var other = job
            other.payload = .text("other")
            try await bench.put(other)
            bench.equal(try await bench.record(job.id), before, "the record after a repeat")
            try await bench.ends(claimed.lease, .success, as: .succeeded)
            try await bench.put(job)
            bench.equal(try await bench.state(job.id), .succeeded, "the state after a late repeat")
            bench.equal(try await bench.store.counts().count(), 1, "jobs")
        },
        Case("the same id twice in one insert is one job") { bench in
            let job = bench.job()
            let answers = try await bench.store.insert([job, job], offer: nil)
            bench.equal(answers, [.stored(job.id), .stored(job.id)], "the answers")
            bench.equal(try await bench.store.counts().count(), 1, "jobs")
        },
        Case("a refused job stores nothing and does not affect the others of its insert") { bench in
            let good = [bench.job(), bench.job()]
            let bad = bench.job("")
            let answers = try await bench.store.insert([good[0], bad, good[1]], offer: nil)
            bench.equal(answers.map(\.id), [good[0].id, nil, good[1].id], "the answers")
            guard case .refused(let error) = answers[1] else { return bench.expect(false, "not refused") }
            bench.equal(error.code, .invalid, "the code")
            bench.equal(Set(try await bench.all().map(\.id)), Set(good.map(\.id)), "the stored jobs")
        },
        Case("a job with any problem is refused before anything is written") { bench in
            let bad: [NewJob] = [
                bench.job(JobName(String(repeating: "x", count: 201))), bench.job("a\u{7}b"), bench.job(queue: ""),
                bench.job(version: 0), bench.job { $0.tags = [""] }, bench.job { $0.headers = ["": "x"] },
                bench.job { $0.tags = Array(repeating: "t", count: 21) }, bench.job { $0.timeout = .zero },
                bench.job { $0.deadline = .seconds(-1) }, bench.job { $0.startWithin = .zero },
                bench.job(unique: UniqueRule(key: "")), bench.job(unique: UniqueRule(key: "k", scope: .forTTL(.zero))),
            ]
            let answers = try await bench.store.insert(bad, offer: nil)
            for (job, answer) in zip(bad, answers) {
                if case .refused(let error) = answer, error.code == .invalid { continue }
                bench.expect(false, "\(answer) for \(job.problem() ?? "no problem")")
            }
            bench.equal(try await bench.store.counts().count(), 0, "jobs")
        },
        Case("a start in the past or a negative delay means now") { bench in
            for start in [NewJob.Start.at(.epoch), .after(.seconds(-5)), .after(.zero), .now] {
                let record = try await bench.record(try await bench.put(bench.job(start: start)))
                bench.equal(record.state, .ready, "the state for \(start)")
                bench.equal(record.runAt, bench.now, "the run time for \(start)")
            }
        },
        Case("a start in the future is scheduled for that instant") { bench in
            let instant = bench.now + .days(400)
            let record = try await bench.record(try await bench.put(bench.job(start: .at(instant))))
            bench.equal(record.state, .scheduled, "the state")
            bench.equal(record.runAt, instant, "the run time")
        },
        Case("the most distant start is stored and waits") { bench in
            let worker = try await bench.worker()
            let id = try await bench.put(bench.job(start: .at(.distantFuture)))
            bench.clock.advance(by: .days(10_000))
            bench.equal(try await bench.claim(worker).jobs.count, 0, "claimed jobs")
            bench.equal(try await bench.record(id).runAt, .distantFuture, "the run time")
        },
    ]
}

extension UniqueRule {
    static let samples: [UniqueRule] = [Scope.untilStart, .untilDone, .forTTL(.hours(1))]
        .flatMap { scope in
            [Conflict.returnExisting, .replacePending(.all), .replacePending(.payload), .runAgainAfter, .throwError]
                .map { UniqueRule(key: "key", scope: scope, conflict: $0) }
        }
}
