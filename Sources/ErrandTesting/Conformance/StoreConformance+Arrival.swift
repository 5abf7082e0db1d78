// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandCore
import Synchronization

extension StoreConformance {
    /// Jobs arrive.
    static let arrivalCases: [Case] = [
        Case("a batch is taken in once, also when its jobs are gone by then") { bench in
            let batch = try await bench.batch { try await $0.put($0.job()) }
            bench.equal(try await bench.store.import(batch), ImportAnswer(), "the answer")
            let id = batch.jobs[0].record.id
            bench.equal(try await bench.store.import(batch), ImportAnswer(isRepeat: true), "the second answer")
            try await bench.operate(.delete, id)
            bench.equal(try await bench.store.import(batch), ImportAnswer(isRepeat: true), "the third answer")
            bench.equal(try await bench.state(id), nil, "the deleted job")
            bench.clock.advance(by: .days(89))
            _ = try await bench.store.maintain(.sweep)
            bench.equal(try await bench.store.import(batch), ImportAnswer(isRepeat: true), "the answer months later")
        },
        Case("of two who bring the same batch at once one is told that it is a repeat") { bench in
            let batch = try await bench.batch { bench in
                for _ in 0..<20 { try await bench.put(bench.job()) }
            }
            let store = bench.store
            async let one = store.import(batch)
            async let other = store.import(batch)
            bench.equal(try await [one, other].filter(\.isRepeat).count, 1, "repeats")
            bench.equal(try await bench.store.counts().count(), 20, "jobs")
        },
        Case("a job whose id is there is left alone") { bench in
            let job = bench.job()
            let batch = try await bench.batch { try await $0.put(job) }
            var edited = job
            edited.payload = .text("other")
            try await bench.put(edited)
            bench.equal(try await bench.store.import(batch).present, [job.id], "jobs that were there")
            bench.equal(try await bench.record(job.id).payload, .text("other"), "the payload")
            bench.equal(try await bench.store.counts().count(), 1, "the count")
        },
        Case("a store does not take its own batch, nor a running job") { bench in
            try await bench.put(bench.job())
            let own = try await bench.export()
            await bench.refuses(.invalid, "its own batch") { _ = try await bench.store.import(own) }
            var batch = try await bench.batch { try await $0.put($0.job()) }
            batch.jobs[0].record.state = .running
            let running = batch
            await bench.refuses(.invalid, "a running job") { _ = try await bench.store.import(running) }
            bench.equal(try await bench.store.counts().count(), 0, "jobs")
        },
        Case("work that arrives wakes whoever waits for it") { bench in
            let batch = try await bench.batch { bench in
                try await bench.put(bench.job(queue: "x"))
                try await bench.put(bench.job(queue: "y", start: .after(.hours(1))))
            }
            let heard = Mutex<[StoreSignal]>([])
            let registration = bench.store.hub.subscribe { signal in heard.withLock { $0.append(signal) } }
            _ = try await bench.store.import(batch)
            registration.cancel()
            for queue: QueueName in ["x", "y"] {
                let isHeard = heard.withLock { $0.contains { $0.isWork(in: queue) } }
                bench.expect(isHeard, "no signal of work in \(queue)")
            }
        },
        Case("a job keeps its place: it is claimed, rescued and settled as if it had never moved") { bench in
            let batch = try await bench.batch { bench in
                let worker = try await bench.worker()
                let claimed = try await bench.run(bench.job { $0.retry = .attempts(2) }, on: worker)
                try await bench.ends(claimed.lease, .again(after: .zero), as: .ready)
            }
            _ = try await bench.store.import(batch)
            let claimed = try await bench.take(try await bench.worker())
            bench.equal(claimed.record.attempt, 2, "the attempt")
            bench.equal(claimed.lease.epoch, 2, "the epoch")
            try await bench.ends(claimed.lease, .again(after: .zero), as: .failed)
            let record = try await bench.record(claimed.record.id)
            bench.equal(record.reason, .exhausted, "the reason")
            bench.equal(record.attempts.map(\.number), [1, 2], "the attempts")
        },
        Case("a job has its unique key where it arrives") { bench in
            let rule = UniqueRule(key: "k")
            let batch = try await bench.batch { try await $0.put($0.job(unique: rule)) }
            bench.equal(try await bench.store.import(batch).keyless, [], "jobs without their key")
            let id = batch.jobs[0].record.id
            bench.equal(try await bench.insert(bench.job(unique: rule)), .duplicate(of: id, .ready), "a duplicate")
            try await bench.operate(.cancel, id)
            let next = bench.job(unique: rule)
            bench.equal(try await bench.insert(next), .stored(next.id), "when the key is free")
        },
        Case("a job whose key is taken where it arrives runs all the same") { bench in
            let rule = UniqueRule(key: "k", conflict: .throwError)
            let batch = try await bench.batch { try await $0.put($0.job(unique: rule)) }
            let there = try await bench.put(bench.job(unique: rule))
            let id = batch.jobs[0].record.id
            bench.equal(try await bench.store.import(batch).keyless, [id], "jobs without their key")
            let worker = try await bench.worker()
            let claimed = try await bench.claim(worker).jobs
            bench.equal(Set(claimed.map(\.record.id)), [there, id], "claimed jobs")
            for job in claimed where job.record.id == id { try await bench.ends(job.lease, .success, as: .succeeded) }
            bench.equal(
                try await bench.insert(bench.job(unique: UniqueRule(key: "k"))),
                .duplicate(of: there, .running),
                "the key is that of the other"
            )
        },
        Case("a follow-up is let go where it arrives, when the job before it has ended") { bench in
            let rule = UniqueRule(key: "k", conflict: .runAgainAfter)
            let batch = try await bench.batch { bench in
                let worker = try await bench.worker()
                let holder = try await bench.run(bench.job(unique: rule), on: worker)
                try await bench.put(bench.job(unique: rule))
                try await bench.ends(holder.lease, .again(after: .zero), as: .ready)
            }
            bench.equal(try await bench.store.import(batch).keyless, [], "jobs without their key")
            let (holder, followUp) = (batch.jobs[0].record.id, batch.jobs[1].record.id)
            bench.equal(try await bench.state(followUp), .waiting, "the follow-up")
            let newer = bench.job(text: "newer", unique: rule)
            bench.equal(try await bench.insert(newer), .replaced(followUp), "a newer one")
            let claimed = try await bench.take(try await bench.worker())
            bench.equal(claimed.record.id, holder, "the claimed job")
            try await bench.ends(claimed.lease, .success, as: .succeeded)
            bench.equal(try await bench.state(followUp), .ready, "the follow-up after the end")
            bench.equal(
                try await bench.insert(bench.job(unique: UniqueRule(key: "k"))),
                .duplicate(of: followUp, .ready),
                "the key of the follow-up"
            )
        },
        Case("a follow-up whose place is taken runs all the same") { bench in
            let rule = UniqueRule(key: "k", conflict: .runAgainAfter)
            let batch = try await bench.batch { bench in
                let worker = try await bench.worker()
                let holder = try await bench.run(bench.job(unique: rule), on: worker)
                try await bench.put(bench.job(unique: rule))
                try await bench.ends(holder.lease, .again(after: .zero), as: .ready)
            }
            let worker = try await bench.worker()
            let here = try await bench.run(bench.job(unique: rule), on: worker)
            let next = try await bench.put(bench.job(unique: rule))
            let ids = batch.jobs.map(\.record.id)
            bench.equal(try await bench.store.import(batch).keyless, ids, "jobs without their key")
            bench.equal(Set(try await bench.claim(worker).jobs.map(\.record.id)), Set(ids), "claimed jobs")
            try await bench.ends(here.lease, .success, as: .succeeded)
            bench.equal(try await bench.state(next), .ready, "the follow-up that was here")
        },
        Case("a key that outlived its job goes on being taken") { bench in
            let rule = UniqueRule(key: "k", scope: .forTTL(.hours(2)))
            let id = bench.id()
            let records = try await bench.batch(.records) { bench in
                let worker = try await bench.worker()
                let claimed = try await bench.run(bench.job(unique: rule) { $0.id = id }, on: worker)
                try await bench.ends(claimed.lease, .success, as: .succeeded)
                try await bench.operate(.delete, id)
            }
            bench.equal(records.keys.map(\.job), [id], "keys")
            _ = try await bench.store.import(records)
            bench.equal(try await bench.insert(bench.job(unique: rule)), .duplicate(of: id, .succeeded), "a repeat")
            bench.clock.advance(by: .hours(2))
            let next = bench.job(unique: rule)
            bench.equal(try await bench.insert(next), .stored(next.id), "when its time is over")
        },
        Case("counters are added, lines of the audit are put in their order, a pause that is there stays") { bench in
            let worker = try await bench.worker()
            try await bench.ends(try await bench.run(on: worker).lease, .success, as: .succeeded)
            try await bench.store.setControls([
                .pause(.queue("q"), actor: "bob", reason: "mine", lasting: nil)
            ])
            let before = try await StoreContents(of: bench.store)
            var batch = ExportBatch(
                id: bench.exportID(),
                destination: "here",
                pauses: [
                    Pause(scope: .queue("q"), actor: "ada", reason: "yours", since: .epoch),
                    Pause(scope: .name("n"), actor: "ada", reason: "new", since: .epoch, until: .distantFuture),
                ]
            )
            batch.series = before.series
            let early = AuditEntry(at: .epoch, actor: "ada", action: "pause", target: "t", reason: "r", changed: 3)
            batch.audit = [early]
            _ = try await bench.store.import(batch)
            let after = try await StoreContents(of: bench.store)
            bench.equal(after.series.map(\.value), before.series.map { $0.value * 2 }, "the counters")
            bench.equal(after.audit, before.audit + [early], "the audit")
            bench.equal(Set(after.pauses.map(\.reason)), ["mine", "new"], "the pauses")
            bench.equal(after.counts, before.counts, "the counts")
        },
    ]
}

extension StoreBench {
    /// A batch of another store, after `body` worked in that.
    func batch(
        _ part: ExportRequest.Part = .pending,
        _ body: (StoreBench) async throws -> Void
    ) async throws -> ExportBatch {
        let other = StoreBench(name, store: MemoryStore(clock: clock), clock: clock, reopen: nil)
        other.generator.withLock { $0 = SeededGenerator(seed: id().low) }
        try await body(other)
        return try await other.export(part, to: "here")
    }
}
