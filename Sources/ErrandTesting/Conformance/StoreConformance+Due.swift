// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    static let dueCases: [Case] = [
        Case("a scheduled job starts at its time and not before") { bench in
            let worker = try await bench.worker()
            let id = try await bench.put(bench.job(start: .after(.seconds(10))))
            let early = try await bench.claim(worker)
            bench.equal(early.jobs.count, 0, "claimed jobs")
            bench.equal(early.nextDue, bench.now + .seconds(10), "the next due time")
            bench.clock.advance(by: .seconds(10) - .microseconds(1))
            bench.equal(try await bench.claim(worker).jobs.count, 0, "claimed a microsecond early")
            bench.clock.advance(by: .microseconds(1))
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), [id], "claimed in time")
        },
        Case("a retrying and a snoozed job start at their time") { bench in
            let worker = try await bench.worker()
            let (retried, snoozed) = (try await bench.run(on: worker), try await bench.run(on: worker))
            try await bench.ends(retried.lease, .again(after: .seconds(5)), as: .retrying)
            try await bench.ends(snoozed.lease, .snoozed(.seconds(6)), as: .scheduled)
            let answer = try await bench.claim(worker)
            bench.equal(answer.jobs.count, 0, "claimed early")
            bench.equal(answer.nextDue, bench.now + .seconds(5), "the next due time")
            bench.clock.advance(by: .seconds(5))
            bench.equal(try await bench.take(worker).record.id, retried.record.id, "the retried job")
            bench.clock.advance(by: .seconds(1))
            bench.equal(try await bench.take(worker).record.id, snoozed.record.id, "the snoozed job")
        },
        Case("held jobs are not the next due ones, and are not promoted") { bench in
            let worker = try await bench.worker()
            let id = try await bench.put(bench.job(start: .after(.seconds(1))))
            try await bench.operate(.hold(lasting: nil), id)
            bench.equal(try await bench.claim(worker).nextDue, nil, "the next due time")
            bench.clock.advance(by: .hours(1))
            let answer = try await bench.claim(worker)
            bench.equal(answer.jobs.count, 0, "claimed jobs")
            bench.equal(answer.nextDue, nil, "the next due time after its time")
            bench.equal(answer.hasMore, false, "more")
            bench.equal(try await bench.state(id), .scheduled, "the state")
            try await bench.operate(.release, id)
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), [id], "claimed after the release")
        },
        Case("a claim promotes at most its limit and the next ones do the rest, in order") { bench in
            let worker = try await bench.worker()
            let jobs = (0..<25).map { bench.job(start: .after(.seconds(60 - $0))) }
            _ = try await bench.store.insert(jobs, offer: nil)
            bench.clock.advance(by: .minutes(2))
            var claimed: [JobID] = []
            var calls = 0
            var goesOn = true
            while goesOn, calls < 30 {
                let request = ClaimRequest(
                    worker: worker,
                    names: StoreBench.names,
                    queues: [.init(name: .default, slots: 100)],
                    limit: 100,
                    promotionLimit: 10
                )
                let answer = try await bench.store.claim(request)
                bench.expect(answer.jobs.count <= 10, "claimed \(answer.jobs.count) of at most ten promoted jobs")
                claimed += answer.jobs.map(\.record.id)
                goesOn = answer.hasMore || answer.nextDue.map { $0 <= bench.now } == true
                calls += 1
            }
            bench.equal(claimed, jobs.reversed().map(\.id), "all jobs, by the time they were due")
        },
        Case("far-future jobs do not hide the one that is due") { bench in
            let worker = try await bench.worker()
            let far = (0..<2000).map { _ in bench.job(priority: .urgent, start: .after(.days(300))) }
            _ = try await bench.store.insert(far, offer: nil)
            let due = try await bench.put(bench.job(priority: .low, start: .after(.seconds(1))))
            bench.clock.advance(by: .seconds(1))
            bench.equal(try await bench.claim(worker, 5).jobs.map(\.record.id), [due], "claimed jobs")
        },
        Case("the next due time is that of the earliest job") { bench in
            let worker = try await bench.worker()
            for seconds in [50, 20, 70, 30] { try await bench.put(bench.job(start: .after(.seconds(seconds)))) }
            bench.equal(try await bench.claim(worker).nextDue, bench.now + .seconds(20), "the next due time")
        },
        Case("a clock that steps back promotes nothing early and loses nothing") { bench in
            let worker = try await bench.worker()
            let id = try await bench.put(bench.job(start: .after(.seconds(10))))
            let ready = try await bench.put(bench.job())
            bench.clock.stepWallClock(by: .hours(-1))
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), [ready], "claimed after the step")
            bench.clock.stepWallClock(by: .hours(1))
            bench.clock.advance(by: .seconds(10))
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), [id], "claimed in time")
        },
    ]

    static let lateCases: [Case] = [
        Case("a job that was not started in time is expired by the claim that would have taken it") { bench in
            let worker = try await bench.worker()
            let late = try await bench.put(bench.job { $0.startWithin = .seconds(10) })
            let deadline = try await bench.put(bench.job { $0.deadline = .seconds(10) })
            let good = try await bench.put(bench.job())
            bench.clock.advance(by: .seconds(10))
            let answer = try await bench.claim(worker, 1)
            bench.equal(answer.jobs.map(\.record.id), [good], "claimed jobs")
            let record = try await bench.record(late)
            bench.equal(record.state, .expired, "the late job")
            bench.equal(record.reason, nil, "its reason")
            bench.equal(record.finishedAt, bench.now, "its end")
            bench.equal(record.epoch, 0, "its epoch")
            bench.equal(try await bench.record(deadline).state, .expired, "the job past its deadline")
            bench.equal(try await bench.record(deadline).reason, .deadline, "its reason")
        },
        Case("a job is in time until the very instant") { bench in
            let worker = try await bench.worker()
            let id = try await bench.put(bench.job { $0.startWithin = .seconds(10) })
            bench.clock.advance(by: .seconds(10) - .microseconds(1))
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), [id], "claimed jobs")
        },
        Case("maintenance expires late jobs that nobody claims, in every pending state") { bench in
            let worker = try await bench.worker()
            let retried = try await bench.run(bench.job { $0.deadline = .hours(1) }, on: worker)
            try await bench.ends(retried.lease, .again(after: .minutes(59)), as: .retrying)
            let scheduled = try await bench.put(bench.job(start: .after(.days(1))) { $0.startWithin = .hours(1) })
            let ready = try await bench.put(bench.job("strange") { $0.startWithin = .hours(1) })
            let fine = try await bench.put(bench.job("strange") { $0.startWithin = .hours(2) })
            let held = try await bench.put(bench.job { $0.startWithin = .hours(1) })
            try await bench.operate(.hold(lasting: nil), held)
            bench.equal(try await bench.store.maintain(.expire).affected, 0, "expired early")
            bench.clock.advance(by: .hours(1))
            bench.equal(try await bench.store.maintain(.expire).affected, 3, "expired jobs")
            for id in [retried.record.id, scheduled, ready] {
                bench.equal(try await bench.state(id), .expired, "the state")
            }
            bench.equal(try await bench.state(fine), .ready, "the job that has time")
            bench.equal(try await bench.state(held), .ready, "the job that is held")
            bench.equal(try await bench.store.maintain(.expire).affected, 0, "expired again")
        },
        Case("a job that started once is not late for its start any more, but for its deadline") { bench in
            let worker = try await bench.worker()
            let started = try await bench.run(
                bench.job {
                    $0.startWithin = .seconds(10)
                    $0.deadline = .minutes(10)
                },
                on: worker
            )
            try await bench.ends(started.lease, .again(after: .minutes(1)), as: .retrying)
            bench.clock.advance(by: .minutes(2))
            bench.equal(try await bench.store.maintain(.expire).affected, 0, "expired jobs")
            let again = try await bench.take(worker)
            bench.clock.advance(by: .minutes(9))
            bench.equal(try await bench.store.maintain(.expire).affected, 0, "expired running jobs")
            try await bench.ends(again.lease, .released, as: .ready)
            bench.equal(try await bench.store.maintain(.expire).affected, 1, "expired after the deadline")
            bench.equal(try await bench.state(started.record.id), .expired, "the state")
        },
        Case("a retry that would start behind the deadline fails at once") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(bench.job { $0.deadline = .minutes(1) }, on: worker)
            try await bench.ends(claimed.lease, .again(after: .minutes(2)), as: .failed)
            bench.equal(try await bench.record(claimed.record.id).reason, .deadline, "the reason")
        },
        Case("thousands of late jobs are expired in bites and do not stop the others") { bench in
            let worker = try await bench.worker()
            let late = (0..<2500).map { _ in bench.job(priority: .urgent) { $0.startWithin = .seconds(1) } }
            _ = try await bench.store.insert(late, offer: nil)
            let good = try await bench.put(bench.job())
            bench.clock.advance(by: .seconds(1))
            var claimed: [JobID] = []
            for _ in 0..<50 where claimed.isEmpty {
                let answer = try await bench.claim(worker, 1)
                claimed = answer.jobs.map(\.record.id)
                bench.expect(!claimed.isEmpty || answer.hasMore, "an empty claim did not say that more is left")
            }
            bench.equal(claimed, [good], "claimed jobs")
            for _ in 0..<50 where try await bench.store.maintain(.expire).hasMore {}
            bench.equal(try await bench.store.counts().count(.expired), 2500, "expired jobs")
        },
    ]
}
