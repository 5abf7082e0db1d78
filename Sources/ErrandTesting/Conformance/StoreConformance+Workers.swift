// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    static let workerCases: [Case] = [
        Case("registered workers are listed by start time with what they said and hold") { bench in
            let first = try await bench.worker(["a": 3], queue: "q")
            bench.clock.advance(by: .seconds(1))
            let second = try await bench.worker()
            try await bench.put(bench.job())
            _ = try await bench.claim(second)
            let workers = try await bench.store.workers()
            bench.equal(workers.map(\.registration.id), [first, second], "the workers")
            bench.equal(workers.map(\.running), [0, 1], "their jobs")
            let said = try bench.need(workers.first)
            bench.equal(said.registration.names, ["a": 3], "its names")
            bench.equal(said.registration.slots, ["q": 100], "its slots")
            bench.equal(said.registration.host, "here", "its host")
            bench.equal(said.startedAt, bench.now - .seconds(1), "its start")
            bench.equal(said.lastSeen, bench.now - .seconds(1), "its last beat")
        },
        Case("registering twice is harmless") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            bench.clock.advance(by: .seconds(5))
            let said = try bench.need(try await bench.store.workers().first).registration
            bench.equal(try await bench.store.register(said), MaintenanceReport(), "the report")
            let workers = try await bench.store.workers()
            bench.equal(workers.count, 1, "workers")
            bench.equal(workers.first?.startedAt, bench.now - .seconds(5), "the start")
            try await bench.ends(claimed.lease, .success, as: .succeeded)
        },
        Case("a beat says that the worker is alive and what it holds") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            bench.clock.advance(by: .seconds(5))
            let beat = Beat(worker: worker, held: [claimed.lease], accountedThrough: bench.now)
            bench.equal(try await bench.store.beat(beat), BeatAnswer(isKnown: true, at: bench.now), "the answer")
            bench.equal(try await bench.store.workers().first?.lastSeen, bench.now, "the last beat")
        },
        Case("a beat names the jobs that are no longer held and those to stop") { bench in
            let worker = try await bench.worker()
            let (kept, ended, stopped) = (
                try await bench.run(on: worker), try await bench.run(on: worker), try await bench.run(on: worker)
            )
            try await bench.ends(ended.lease, .success, as: .succeeded)
            try await bench.operate(.cancel, stopped.record.id, reason: "stop it")
            let unknown = Lease(job: bench.id(), worker: worker, epoch: 1)
            let held = [kept.lease, ended.lease, stopped.lease, unknown]
            let answer = try await bench.store.beat(Beat(worker: worker, held: held, accountedThrough: bench.now))
            bench.equal(answer.isKnown, true, "known")
            bench.equal(Set(answer.lost), [ended.lease, unknown], "lost leases")
            let request = CancelRequest(actor: "ada", reason: "stop it", at: bench.now)
            bench.equal(answer.cancels, [stopped.record.id: request], "jobs to stop")
            bench.equal(answer.released, 0, "released jobs")
        },
        Case("of two leases of one job a beat calls only the older one lost") { bench in
            let worker = try await bench.worker()
            let first = try await bench.run(on: worker)
            bench.equal(try await bench.orphans(of: worker, through: bench.now), 1, "jobs given back")
            let second = try await bench.take(worker)
            bench.equal(second.record.id, first.record.id, "the job")
            let held = [first.lease, second.lease]
            let answer = try await bench.store.beat(Beat(worker: worker, held: held, accountedThrough: bench.now))
            bench.equal(answer.lost, [first.lease], "lost leases")
            try await bench.ends(second.lease, .success, as: .succeeded)
        },
        Case("the orphan of a lost answer is given back without a crash, but only when it is old enough") { bench in
            let worker = try await bench.worker()
            let orphan = try await bench.run(on: worker)
            let through = bench.now
            bench.clock.advance(by: .seconds(1))
            let young = try await bench.run(on: worker)
            bench.equal(try await bench.orphans(of: worker, through: nil), 0, "released while a claim is under way")
            bench.equal(
                try await bench.orphans(of: worker, through: through - .microseconds(1)),
                0,
                "released before the claim is accounted for"
            )
            bench.equal(try await bench.orphans(of: worker, through: through), 1, "released")
            let record = try await bench.record(orphan.record.id)
            bench.equal(record.state, .ready, "the state")
            bench.equal([record.releases, record.crashes, record.attempt], [1, 0, 0], "releases, crashes, attempts")
            bench.equal(record.attempts.map(\.ending), [.released], "the attempts")
            bench.equal(try await bench.state(young.record.id), .running, "the younger job")
            try await bench.isFenced(orphan.lease, "after it was given back")
            bench.equal(try await bench.take(worker).record.id, orphan.record.id, "the next job")
        },
        Case("the orphan of a lost answer is given back although the clock was set back since") { bench in
            let worker = try await bench.worker()
            _ = try await bench.run(on: worker)
            bench.clock.stepWallClock(by: .hours(-1))
            bench.equal(try await bench.orphans(of: worker, through: nil), 0, "released while a claim is under way")
            bench.equal(try await bench.orphans(of: worker, through: bench.now - .microseconds(1)), 1, "released")
        },
        Case("listed jobs are never given back, and nobody else's are") { bench in
            let (worker, other) = (try await bench.worker(), try await bench.worker())
            let mine = try await bench.run(on: worker)
            let theirs = try await bench.run(on: other)
            bench.clock.advance(by: .seconds(9))
            let answer = try await bench.store.beat(
                Beat(worker: worker, held: [mine.lease], accountedThrough: bench.now)
            )
            bench.equal(answer.released, 0, "released jobs")
            try await bench.ends(mine.lease, .success, as: .succeeded)
            try await bench.ends(theirs.lease, .success, as: .succeeded)
        },
        Case("an orphan that somebody wants stopped ends cancelled") { bench in
            let worker = try await bench.worker()
            let orphan = try await bench.run(on: worker)
            try await bench.operate(.cancel, orphan.record.id)
            _ = try await bench.store.beat(Beat(worker: worker, held: [], accountedThrough: bench.now))
            bench.equal(try await bench.state(orphan.record.id), .cancelled, "the state")
        },
        Case("a worker that retires gives its jobs back without a crash and is gone") { bench in
            let worker = try await bench.worker()
            let (one, two) = (try await bench.run(on: worker), try await bench.run(on: worker))
            try await bench.operate(.cancel, two.record.id)
            try await bench.store.retire(worker)
            let record = try await bench.record(one.record.id)
            bench.equal(record.state, .ready, "the state")
            bench.equal([record.releases, record.crashes, record.attempt], [1, 0, 0], "releases, crashes, attempts")
            bench.equal(try await bench.state(two.record.id), .cancelled, "the job that was to stop")
            bench.equal(try await bench.store.workers(), [], "the workers")
            try await bench.store.retire(worker)
        },
        Case("a beat of a worker that was never known loses everything") { bench in
            let worker = try await bench.worker()
            try await bench.store.retire(worker)
            let lease = Lease(job: bench.id(), worker: worker, epoch: 1)
            let answer = try await bench.store.beat(Beat(worker: worker, held: [lease], accountedThrough: bench.now))
            bench.equal(answer, BeatAnswer(isKnown: false, lost: [lease], at: bench.now), "the answer")
        },
    ]

    static let rescueCases: [Case] = [
        Case("a worker is dead when it was silent for longer than allowed, and not before") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            bench.clock.advance(by: .seconds(30))
            var report = try await bench.store.maintain(.rescue(silence: .seconds(30)))
            bench.equal(report, MaintenanceReport(), "the report in time")
            bench.clock.advance(by: .microseconds(1))
            report = try await bench.store.maintain(.rescue(silence: .seconds(30)))
            bench.equal(report.rescued, [claimed.record.id: .ready], "the rescued jobs")
            bench.equal(report.deadWorkers, [worker], "the dead workers")
            bench.equal(report.hasMore, false, "more")
            let again = try await bench.store.maintain(.rescue(silence: .seconds(30)))
            bench.equal(again.rescued, [:], "the jobs rescued again")
            let beat = Beat(worker: worker, held: [claimed.lease], accountedThrough: bench.now)
            let answer = try await bench.store.beat(beat)
            bench.equal(answer.isKnown, false, "known")
            bench.equal(answer.lost, [claimed.lease], "lost leases")
            await bench.refuses(.notFound, "a claim by a dead worker") { _ = try await bench.claim(worker) }
        },
        Case("a worker that looks for the dead does not find itself") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            bench.clock.advance(by: .hours(1))
            let report = try await bench.store.maintain(.rescue(silence: .seconds(30), sparing: worker))
            bench.equal(report, MaintenanceReport(), "the report")
            try await bench.ends(claimed.lease, .success, as: .succeeded)
        },
        Case("a worker that was silent itself does not judge the silence of others before it beats") { bench in
            let (asking, other) = (try await bench.worker(), try await bench.worker())
            let claimed = try await bench.run(on: other)
            bench.clock.advance(by: .hours(1))
            let rescue = MaintenanceTask.rescue(silence: .seconds(30), sparing: asking)
            bench.equal(try await bench.store.maintain(rescue), MaintenanceReport(), "the report before the beat")
            _ = try await bench.store.beat(Beat(worker: asking, held: [], accountedThrough: nil))
            let report = try await bench.store.maintain(rescue)
            bench.equal(report.deadWorkers, [other], "the dead workers after the beat")
            bench.equal(report.rescued, [claimed.record.id: .ready], "the rescued jobs after the beat")
        },
        Case("a worker that died before the clock was set back is found after its silence, not after the step") {
            bench in
            let claimed = try await bench.run(on: try await bench.worker())
            bench.clock.stepWallClock(by: .hours(-1))
            let rescue = MaintenanceTask.rescue(silence: .seconds(30))
            bench.equal(try await bench.store.maintain(rescue), MaintenanceReport(), "the report after the step")
            bench.clock.advance(by: .seconds(31))
            let report = try await bench.store.maintain(rescue)
            bench.equal(report.rescued, [claimed.record.id: .ready], "the rescued jobs")
        },
        Case("a worker that is not registered may look for the dead like anybody") { bench in
            let (asking, other) = (try await bench.worker(), try await bench.worker())
            try await bench.store.retire(asking)
            let claimed = try await bench.run(on: other)
            bench.clock.advance(by: .hours(1))
            let report = try await bench.store.maintain(.rescue(silence: .seconds(30), sparing: asking))
            bench.equal(report.rescued, [claimed.record.id: .ready], "the rescued jobs")
        },
        Case("a rescue leaves the record that the core decides") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            bench.clock.advance(by: .minutes(1))
            _ = try await bench.store.maintain(.rescue(silence: .seconds(30)))
            var wanted = claimed.record
            wanted.attempts = [try bench.need(wanted.rescue(at: bench.now).attempt)]
            bench.equal(try await bench.record(claimed.record.id), wanted, "the record")
            bench.equal(wanted.attempts.first?.ending, .crashed, "the attempt")
        },
        Case("jobs of workers that beat stay where they are") { bench in
            let (dead, live) = (try await bench.worker(), try await bench.worker())
            let lost = try await bench.run(on: dead)
            let kept = try await bench.run(on: live)
            bench.clock.advance(by: .seconds(20))
            _ = try await bench.store.beat(Beat(worker: live, held: [kept.lease], accountedThrough: nil))
            bench.clock.advance(by: .seconds(20))
            let report = try await bench.store.maintain(.rescue(silence: .seconds(30)))
            bench.equal(report.rescued, [lost.record.id: .ready], "the rescued jobs")
            bench.equal(report.deadWorkers, [dead], "the dead workers")
            try await bench.ends(kept.lease, .success, as: .succeeded)
        },
        Case("a job that kills its workers is poison after the crashes it is allowed") { bench in
            for allowed in [0, 1, 2] {
                let id = try await bench.put(bench.job { $0.crashesAllowed = allowed })
                for crash in 1...(allowed + 1) {
                    let worker = try await bench.worker()
                    bench.equal(try await bench.take(worker).record.id, id, "the claimed job")
                    bench.clock.advance(by: .minutes(1))
                    let report = try await bench.store.maintain(.rescue(silence: .seconds(30)))
                    bench.equal(
                        report.rescued,
                        [id: crash > allowed ? .failed : .ready],
                        "crash \(crash) of \(allowed)"
                    )
                }
                let record = try await bench.record(id)
                bench.equal(record.reason, .poison, "the reason")
                bench.equal(record.crashes, allowed + 1, "the crashes")
                bench.equal(record.failures, 0, "the failures")
            }
        },
        Case("a job of a dead worker that was to stop ends cancelled") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            try await bench.operate(.cancel, claimed.record.id)
            bench.clock.advance(by: .minutes(1))
            let report = try await bench.store.maintain(.rescue(silence: .seconds(30)))
            bench.equal(report.rescued, [claimed.record.id: .cancelled], "the rescued jobs")
        },
        Case("a dead worker with thousands of jobs loses all of them, in bites") { bench in
            let worker = try await bench.worker()
            _ = try await bench.store.insert((0..<2500).map { _ in bench.job() }, offer: nil)
            for _ in 0..<5 where try await bench.claim(worker, 1000).hasMore {}
            bench.equal(try await bench.store.counts().count(.running), 2500, "running jobs")
            bench.clock.advance(by: .minutes(1))
            var rescued = 0
            for _ in 0..<100 where rescued < 2500 {
                rescued += try await bench.store.maintain(.rescue(silence: .seconds(30))).rescued.count
            }
            bench.equal(try await bench.store.counts().count(.ready), 2500, "ready jobs")
            _ = try await bench.store.maintain(.sweep)
            bench.equal(try await bench.store.workers(), [], "the workers")
        },
    ]
}

extension StoreBench {
    /// Beats without listing anything.
    /// - Returns: How many jobs were given back.
    func orphans(of worker: WorkerID, through: Timestamp?) async throws -> Int {
        try await store.beat(Beat(worker: worker, held: [], accountedThrough: through)).released
    }
}
