// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    private static func offer(_ worker: WorkerID, slots: Int = 1, queue: QueueName = .default) -> ClaimOffer {
        ClaimOffer(worker: worker, names: StoreBench.names, slots: [queue: slots])
    }

    static let offerCases: [Case] = [
        Case("a job that fits an offer is stored and claimed in one act") { bench in
            let worker = try await bench.worker()
            let job = bench.job()
            let answers = try await bench.store.insert([job], offer: offer(worker))
            guard case .claimed(let claimed) = answers.first else {
                return bench.expect(false, "the answer was \(answers)")
            }
            var wanted = JobRecord(job, at: bench.now)
            _ = wanted.claim(by: worker, at: bench.now)
            bench.equal(claimed.record, wanted, "the claimed record")
            bench.equal(try await bench.record(job.id), wanted, "the stored record")
            bench.equal(try await bench.claim(worker).jobs.count, 0, "jobs left to claim")
            bench.equal(try await bench.store.workers().map(\.running), [1], "jobs of the worker")
            try await bench.ends(claimed.lease, .success, as: .succeeded)
        },
        Case("an offer takes as many jobs as it has slots, the rest is ready") { bench in
            let worker = try await bench.worker()
            let jobs = (0..<5).map { _ in bench.job() }
            let answers = try await bench.store.insert(jobs, offer: offer(worker, slots: 2))
            bench.equal(answers.map(\.id), jobs.map(\.id), "the ids of the answers")
            bench.equal(answers.prefix(2).count { $0.isClaimed }, 2, "the first two")
            bench.equal(answers.dropFirst(2).count { $0.isClaimed }, 0, "the other three")
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), jobs.dropFirst(2).map(\.id), "the rest")
        },
        Case("an offer does not take a job that is delayed, unknown, too new, paused, or of another queue") { bench in
            let worker = try await bench.worker()
            try await bench.store.setControls([
                .pause(.queue("paused"), actor: "a", reason: "", lasting: nil),
                .pause(.name("call"), actor: "a", reason: "", lasting: nil),
            ])
            let jobs = [
                bench.job(start: .after(.seconds(1))), bench.job("strange"), bench.job(version: 2), bench.job("call"),
                bench.job(queue: "paused"), bench.job(queue: "other"),
            ]
            let offer = ClaimOffer(worker: worker, names: StoreBench.names, slots: [.default: 9, "paused": 9])
            for job in jobs {
                let answers = try await bench.store.insert([job], offer: offer)
                bench.equal(answers, [.stored(job.id)], "the answer")
            }
        },
        Case("an offer takes nothing while a job is ready before it that the worker could run") { bench in
            let worker = try await bench.worker()
            let first = try await bench.put(bench.job())
            let second = bench.job()
            bench.equal(
                try await bench.store.insert([second], offer: offer(worker)),
                [.stored(second.id)],
                "the answer behind a ready job"
            )
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), [first, second.id], "the order")
            try await bench.put(bench.job(start: .after(.seconds(1))))
            bench.clock.advance(by: .seconds(2))
            let third = bench.job()
            bench.equal(
                try await bench.store.insert([third], offer: offer(worker)),
                [.stored(third.id)],
                "the answer behind a due job"
            )
        },
        Case("an offer may pass jobs that the worker could not run, and less urgent ones") { bench in
            let worker = try await bench.worker()
            try await bench.put(bench.job("strange", priority: .urgent))
            try await bench.put(bench.job(version: 2, priority: .urgent))
            try await bench.put(bench.job(queue: "other", priority: .urgent))
            try await bench.put(bench.job(priority: .low))
            let held = try await bench.put(bench.job(priority: .urgent))
            try await bench.operate(.hold(lasting: nil), held)
            let answers = try await bench.store.insert([bench.job()], offer: offer(worker))
            bench.equal(answers.map(\.isClaimed), [true], "the answer")
        },
        Case("an offer by a worker that is not known is ignored") { bench in
            let worker = try await bench.worker()
            try await bench.store.retire(worker)
            let job = bench.job()
            bench.equal(try await bench.store.insert([job], offer: offer(worker)), [.stored(job.id)], "the answer")
            bench.equal(try await bench.state(job.id), .ready, "the state")
        },
        Case("an offer does not change what becomes of duplicates and refused jobs") { bench in
            let worker = try await bench.worker()
            let first = try await bench.put(bench.job(start: .after(.hours(1)), unique: UniqueRule(key: "k")))
            let jobs = [bench.job(start: .after(.hours(1)), unique: UniqueRule(key: "k")), bench.job(""), bench.job()]
            let answers = try await bench.store.insert(jobs, offer: offer(worker, slots: 9))
            bench.equal(answers[0], .duplicate(of: first, .scheduled), "the duplicate")
            bench.equal(answers[1].id, nil, "the refused job")
            bench.equal(answers[2].isClaimed, true, "the good job")
        },
        Case("repeating an insert with an offer claims nothing twice") { bench in
            let worker = try await bench.worker()
            let job = bench.job()
            _ = try await bench.store.insert([job], offer: offer(worker))
            let again = try await bench.store.insert([job], offer: offer(worker))
            bench.equal(again, [.stored(job.id)], "the answer to the repeat")
            bench.equal(try await bench.record(job.id).epoch, 1, "the epoch")
        },
        Case("a key until the start is free again after an offer took its job") { bench in
            let worker = try await bench.worker()
            let rule = UniqueRule(key: "k", scope: .untilStart)
            let first = try await bench.store.insert([bench.job(unique: rule)], offer: offer(worker))
            bench.equal(first.map(\.isClaimed), [true], "the first job")
            try await bench.put(bench.job(unique: rule))
        },
    ]
}

extension InsertAnswer {
    var isClaimed: Bool {
        if case .claimed = self { true } else { false }
    }
}
