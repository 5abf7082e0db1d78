// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore
import Synchronization

extension StoreConformance {
    static let maintainCases: [Case] = [
        Case("maintenance of an empty store does nothing") { bench in
            let tasks: [MaintenanceTask] = [
                .rescue(silence: .seconds(30)), .expire, .prune(RetentionPolicy()), .sweep,
                .findOrphans(olderThan: .zero), .recount,
            ]
            for task in tasks { bench.equal(try await bench.store.maintain(task), MaintenanceReport(), "\(task)") }
        },
        Case("names and versions that no live worker knows are found, with how many and since when") { bench in
            let start = bench.now
            let worker = try await bench.worker(["mail": 2])
            for version in [1, 2, 3, 3] { try await bench.put(bench.job(version: version)) }
            bench.clock.advance(by: .seconds(30))
            for queue in ["x", "x", "y"] as [QueueName] { try await bench.put(bench.job("strange", queue: queue)) }
            let held = try await bench.put(bench.job("held"))
            try await bench.operate(.hold(lasting: nil), held)
            try await bench.put(bench.job("later", start: .after(.hours(1))))
            bench.clock.advance(by: .seconds(60))
            let orphans = try await bench.store.maintain(.findOrphans(olderThan: .seconds(60))).orphans
            let second = start + .seconds(30)
            let wanted = [
                OrphanedName(queue: .default, name: "mail", version: 3, count: 2, since: start),
                OrphanedName(queue: "x", name: "strange", version: 1, count: 2, since: second),
                OrphanedName(queue: "y", name: "strange", version: 1, count: 1, since: second),
            ]
            bench.equal(Set(orphans), Set(wanted), "the orphans")
            let old = try await bench.store.maintain(.findOrphans(olderThan: .seconds(61))).orphans
            bench.equal(old.map(\.name), ["mail"], "the older orphans")
            _ = try await bench.worker(["strange": 1])
            try await bench.store.retire(worker)
            let left = try await bench.store.maintain(.findOrphans(olderThan: .zero)).orphans
            bench.equal(
                Set(left.map { "\($0.name) \($0.version)" }),
                ["mail 1", "mail 2", "mail 3"],
                "when one is gone"
            )
        },
        Case("counts stay equal to the rows whatever happens, so that a recount repairs nothing") { bench in
            let worker = try await bench.worker()
            try await bench.makeMixture(worker)
            bench.equal(try await bench.store.maintain(.recount), MaintenanceReport(), "the report")
            let counted = try await bench.store.counts()
            let listed = try await bench.all()
            for state in JobState.allCases {
                bench.equal(counted.count(state), listed.count { $0.state == state }, "\(state) jobs")
            }
        },
    ]

    static let retentionCases: [Case] = [
        Case("finished jobs are deleted at their age, each state by its own, and others never") { bench in
            let worker = try await bench.worker()
            var ids: [JobState: JobID] = [:]
            for state in StoreBench.reachable { ids[state] = try await bench.make(state, worker: worker).id }
            let waited = try await bench.all(JobFilter(states: [.running])).count
            let policy = RetentionPolicy(ages: [.succeeded: .hours(1), .failed: .hours(2), .expired: .hours(3)])
            bench.equal(try await bench.store.maintain(.prune(policy)).affected, 0, "deleted early")
            bench.clock.advance(by: .hours(1))
            bench.equal(try await bench.store.maintain(.prune(policy)).affected, 1, "deleted after an hour")
            bench.equal(try await bench.state(try bench.need(ids[.succeeded])), nil, "the succeeded job")
            bench.clock.advance(by: .hours(1))
            bench.equal(try await bench.store.maintain(.prune(policy)).affected, 1, "deleted after two hours")
            bench.equal(try await bench.state(try bench.need(ids[.failed])), nil, "the failed job")
            bench.clock.advance(by: .hours(1000))
            bench.equal(try await bench.store.maintain(.prune(policy)).affected, 1, "deleted in the end")
            for state in [JobState.waiting, .scheduled, .retrying, .ready, .running, .cancelled] {
                bench.equal(try await bench.state(try bench.need(ids[state])), state, "the \(state) job")
            }
            bench.equal(try await bench.all(JobFilter(states: [.running])).count, waited, "running jobs")
        },
        Case("a job is kept until the very instant of its age") { bench in
            let worker = try await bench.worker()
            let id = try await bench.make(.succeeded, worker: worker).id
            let policy = RetentionPolicy(ages: [.succeeded: .hours(1)])
            bench.clock.advance(by: .hours(1) - .microseconds(1))
            bench.equal(try await bench.store.maintain(.prune(policy)).affected, 0, "deleted early")
            bench.clock.advance(by: .microseconds(1))
            bench.equal(try await bench.store.maintain(.prune(policy)).affected, 1, "deleted in time")
            bench.equal(try await bench.state(id), nil, "the job")
        },
        Case("of each queue and final state only so many are kept, the oldest go first, in bites") { bench in
            let worker = try await bench.worker()
            for queue in ["x", "y"] as [QueueName] {
                let jobs = (0..<20).map { _ in bench.job(queue: queue) }
                _ = try await bench.store.insert(jobs, offer: nil)
                for (index, claimed) in try await bench.claim(worker, queues: [queue]).jobs.enumerated() {
                    bench.clock.advance(by: .seconds(1))
                    _ = try await bench.settle(claimed.lease, index < 15 ? .success : .failure)
                }
            }
            let order = try await bench.all().sorted { ($0.finishedAt ?? .epoch) < ($1.finishedAt ?? .epoch) }
            let policy = RetentionPolicy(ages: [:], maximum: 6, bite: 5)
            var bites: [Int] = []
            var hasMore = true
            while hasMore, bites.count < 20 {
                let report = try await bench.store.maintain(.prune(policy))
                bites.append(report.affected)
                hasMore = report.hasMore
            }
            bench.expect(bites.allSatisfy { $0 <= 5 }, "bites of \(bites)")
            bench.equal(bites.reduce(0, +), 18, "deleted jobs")
            for queue in ["x", "y"] as [QueueName] {
                let left = try await bench.all(JobFilter(states: [.succeeded], queues: [queue])).map(\.id)
                let newest = order.filter { $0.queue == queue && $0.state == .succeeded }.suffix(6).map(\.id)
                bench.equal(Set(left), Set(newest), "the kept jobs of \(queue)")
                let failed = try await bench.store.counts().count(.failed, queue: queue)
                bench.equal(failed, 5, "the failed jobs of \(queue)")
            }
            bench.equal(try await bench.store.maintain(.recount).affected, 0, "repaired counts")
        },
        Case("age goes by the end, not by the start, and a new run starts anew") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            bench.clock.advance(by: .hours(5))
            try await bench.ends(claimed.lease, .failure, as: .failed)
            let policy = RetentionPolicy(ages: [.failed: .hours(1), .succeeded: .hours(1)])
            bench.equal(try await bench.store.maintain(.prune(policy)).affected, 0, "deleted at the end")
            try await bench.operate(.retry(spread: .zero), claimed.record.id)
            bench.clock.advance(by: .hours(2))
            bench.equal(try await bench.store.maintain(.prune(policy)).affected, 0, "deleted in a new run")
            try await bench.ends(try await bench.take(worker).lease, .success, as: .succeeded)
            bench.equal(try await bench.store.maintain(.prune(policy)).affected, 0, "deleted at the second end")
        },
        Case("a pruned job takes all its parts along") { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            let line = LogLine(at: bench.now, level: "info", message: "x")
            _ = try await bench.store.note([LeaseNote(lease: claimed.lease, lines: [line])])
            try await bench.ends(claimed.lease, .failure, as: .failed)
            bench.clock.advance(by: .hours(1))
            _ = try await bench.store.maintain(.prune(RetentionPolicy(ages: [.failed: .hours(1)])))
            var again = bench.job()
            again.id = claimed.record.id
            try await bench.put(again)
            let record = try await bench.record(again.id)
            bench.equal([record.attempts.count, record.log.count], [0, 0], "old parts")
        },
    ]

    static let signalCases: [Case] = [
        Case("whoever listens hears of work, cancels, ends and controls, after the fact") { bench in
            let worker = try await bench.worker()
            let heard = Mutex<[StoreSignal]>([])
            func take() -> [StoreSignal] {
                heard.withLock { signals in
                    defer { signals = [] }
                    return signals
                }
            }
            let registration = bench.store.hub.subscribe { signal in heard.withLock { $0.append(signal) } }
            let id = try await bench.put(bench.job(queue: "x"))
            bench.expect(take().contains { $0.isWork(in: "x") }, "no signal of work after an insert")
            try await bench.put(bench.job(queue: "y", start: .after(.hours(1))))
            bench.expect(take().contains { $0.isWork(in: "y") }, "no signal of a new due time")
            let watch = bench.store.hub.watch(id)
            let claimed = try bench.need(try await bench.claim(worker, queues: ["x"]).jobs.first)
            _ = take()
            try await bench.operate(.cancel, id)
            bench.expect(take().contains(.cancelled([id])), "no signal of a cancel")
            try await bench.ends(claimed.lease, .success, as: .cancelled)
            bench.expect(take().contains(.finished([id])), "no signal of the end")
            try await bench.operate(.retry(spread: .zero), id)
            bench.expect(take().contains { $0.isWork(in: "x") }, "no signal of work after a retry")
            try await bench.store.setControls([.pause(.everything, actor: "a", reason: "", lasting: nil)])
            bench.expect(take().contains(.controls), "no signal of a pause")
            watch.cancel()
            try await bench.operate(.cancel, id)
            bench.expect(!take().contains(.finished([id])), "a signal of an end that nobody watches")
            registration.cancel()
            try await bench.put(bench.job())
            bench.equal(take(), [], "signals after the end of the registration")
        },
        Case("a released, retried, rescued or freed job is signalled as work") { bench in
            let worker = try await bench.worker()
            let heard = Mutex<[StoreSignal]>([])
            func hasWork() -> Bool {
                heard.withLock { signals in
                    defer { signals = [] }
                    return signals.contains { $0.isWork(in: .default) }
                }
            }
            let registration = bench.store.hub.subscribe { signal in heard.withLock { $0.append(signal) } }
            defer { registration.cancel() }
            let rule = UniqueRule(key: "k", conflict: .runAgainAfter)
            var claimed = try await bench.run(bench.job(unique: rule), on: worker)
            for outcome in [Outcome.released, .again(after: .zero), .snoozed(.zero)] {
                _ = hasWork()
                _ = try await bench.settle(claimed.lease, outcome)
                bench.expect(hasWork(), "no signal after \(outcome)")
                claimed = try await bench.take(worker)
            }
            try await bench.put(bench.job(unique: rule))
            _ = hasWork()
            _ = try await bench.settle(claimed.lease, .success)
            bench.expect(hasWork(), "no signal of a follow-up")
            _ = try await bench.take(worker)
            bench.clock.advance(by: .minutes(1))
            _ = hasWork()
            _ = try await bench.store.maintain(.rescue(silence: .seconds(30)))
            bench.expect(hasWork(), "no signal after a rescue")
        },
    ]

    static let reopenCases: [Case] = [
        Case("everything is there after the storage was opened again", needsReopen: true) { bench in
            let worker = try await bench.worker()
            try await bench.makeMixture(worker)
            try await bench.store.setControls([
                .pause(.queue("z"), actor: "ada", reason: "why", lasting: .hours(1))
            ])
            let running = try await bench.run(on: worker)
            let note = LeaseNote(
                lease: running.lease,
                progress: (0.5, "half"),
                lines: [LogLine(at: bench.now, level: "info", message: "x")],
                checkpoints: ["c": .text("v")]
            )
            _ = try await bench.store.note([note])
            let ids = try await bench.all().map(\.id)
            let before = try await bench.store.jobs(ids, parts: .all)
            let counts = try await bench.store.counts()
            let (pauses, audit) = (try await bench.store.pauses(), try await bench.store.audit(limit: 100))
            try await bench.reopen()
            bench.equal(try await bench.all().map(\.id), ids, "the list")
            let after = try await bench.store.jobs(ids, parts: .all)
            // A store that knows that its workers are gone with it may rescue their jobs when it opens.
            for (old, new) in zip(before, after) where old.state != .running { bench.equal(new, old, "the record") }
            bench.equal(try await bench.store.counts().count(), counts.count(), "jobs")
            bench.equal(try await bench.store.pauses(), pauses, "the pauses")
            bench.equal(try await bench.store.audit(limit: 100), audit, "the audit")
            let kept = try await bench.record(running.record.id)
            bench.equal(kept.checkpoints, ["c": .text("v")], "the checkpoints")
            bench.equal(kept.log.count, 1, "the log")
        },
        Case("unique keys and operations are remembered after the storage was opened again", needsReopen: true) {
            bench in
            let done = try await bench.put(bench.job(start: .after(.hours(1)), unique: UniqueRule(key: "done")))
            let ttl = UniqueRule(key: "ttl", scope: .forTTL(.hours(1)))
            let deleted = try await bench.put(bench.job(unique: ttl))
            try await bench.operate(.delete, deleted)
            let operation = Operation(
                .hold(lasting: nil),
                on: .ids([done]),
                actor: "a",
                reason: "r",
                idempotencyKey: "i"
            )
            let report = try await bench.store.operate(operation)
            try await bench.reopen()
            let again = try await bench.insert(bench.job(start: .after(.hours(1)), unique: UniqueRule(key: "done")))
            bench.equal(again, .duplicate(of: done, .scheduled), "the answer")
            bench.equal(try await bench.insert(bench.job(unique: ttl)).id, deleted, "the job of the key with a TTL")
            bench.equal(try await bench.store.operate(operation), report, "the repeated operation")
        },
        Case("a lease from before is fenced or still holds, never both", needsReopen: true) { bench in
            let worker = try await bench.worker()
            let claimed = try await bench.run(on: worker)
            try await bench.reopen()
            let answer = try await bench.settle(claimed.lease, .success)
            if answer == .leaseLost {
                bench.equal(try await bench.state(claimed.record.id), .ready, "the state")
                let next = try await bench.worker()
                bench.expect(try await bench.take(next).lease.epoch > claimed.lease.epoch, "the epoch did not rise")
            } else {
                bench.equal(answer, .applied(.succeeded), "the answer")
            }
        },
    ]
}

extension StoreSignal {
    func isWork(in queue: QueueName) -> Bool {
        switch self {
        case .work(let queues): queues.contains(queue)
        case .elsewhere: true
        case .cancelled, .finished, .controls: false
        }
    }
}
