// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    static let claimCases: [Case] = [
        Case("a claim starts a ready job under a lease") { bench in
            let worker = try await bench.worker()
            let job = bench.job()
            try await bench.put(job)
            bench.clock.advance(by: .seconds(3))
            let answer = try await bench.claim(worker)
            let claimed = try bench.need(answer.jobs.first)
            var wanted = JobRecord(job, at: job.id.madeAt)
            let lease = wanted.claim(by: worker, at: bench.now, row: claimed.lease.row)
            bench.equal(claimed.lease, lease, "the lease")
            bench.equal(claimed.record, wanted, "the claimed record")
            bench.equal(try await bench.record(job.id), wanted, "the stored record")
            bench.equal(answer.at, bench.now, "the time of the claim")
            bench.equal(answer.jobs.count, 1, "claimed jobs")
            bench.equal(answer.hasMore, false, "more")
            bench.equal(answer.nextDue, nil, "the next due time")
        },
        Case("a job is claimed once") { bench in
            let (first, second) = (try await bench.worker(), try await bench.worker())
            try await bench.put(bench.job())
            bench.equal(try await bench.claim(first).jobs.count, 1, "first claim")
            bench.equal(try await bench.claim(second).jobs.count, 0, "second claim")
            bench.equal(try await bench.claim(first).jobs.count, 0, "claim by the holder")
        },
        Case("a claim takes at most its limit and says that more is left") { bench in
            let worker = try await bench.worker()
            for _ in 0..<5 { try await bench.put(bench.job()) }
            let some = try await bench.claim(worker, 2)
            bench.equal(some.jobs.count, 2, "claimed of five with limit two")
            bench.equal(some.hasMore, true, "more")
            let rest = try await bench.claim(worker, 3)
            bench.equal(rest.jobs.count, 3, "claimed of three with limit three")
            bench.equal(rest.hasMore, false, "more at the end")
            bench.equal(try await bench.claim(worker, 0).jobs.count, 0, "claimed with limit zero")
        },
        Case("a claim takes at most the slots of each queue") { bench in
            let worker = try await bench.worker()
            for queue in ["a", "b"] as [QueueName] {
                for _ in 0..<4 { try await bench.put(bench.job(queue: queue)) }
            }
            let request = ClaimRequest(
                worker: worker,
                names: StoreBench.names,
                queues: [.init(name: "a", slots: 1), .init(name: "b", slots: 2), .init(name: "c", slots: 9)],
                limit: 100
            )
            let answer = try await bench.store.claim(request)
            bench.equal(answer.jobs.count { $0.record.queue == "a" }, 1, "jobs of a")
            bench.equal(answer.jobs.count { $0.record.queue == "b" }, 2, "jobs of b")
            bench.equal(answer.hasMore, true, "more")
        },
        Case("jobs of other queues stay") { bench in
            let worker = try await bench.worker()
            try await bench.put(bench.job(queue: "a"))
            let answer = try await bench.claim(worker, queues: ["A", "b"])
            bench.equal(answer.jobs.count, 0, "claimed jobs")
            bench.equal(answer.hasMore, false, "more")
        },
        Case("unknown names and newer versions are never claimed") { bench in
            let worker = try await bench.worker()
            let unknown = try await bench.put(bench.job("strange", priority: .urgent))
            let newer = try await bench.put(bench.job("mail", version: 3, priority: .urgent))
            let known = try await bench.put(bench.job("mail", version: 2))
            let answer = try await bench.claim(worker, names: ["mail": 2])
            bench.equal(answer.jobs.map(\.record.id), [known], "claimed jobs")
            bench.equal(answer.hasMore, false, "more for this worker")
            bench.equal(try await bench.state(unknown), .ready, "the unknown name")
            bench.equal(try await bench.state(newer), .ready, "the newer version")
            let later = try await bench.claim(worker, names: ["mail": 3, "strange": 1])
            bench.equal(Set(later.jobs.map(\.record.id)), [unknown, newer], "claimed after a deploy")
        },
        Case("a thousand jobs of an unknown name do not hide the one that can run") { bench in
            let worker = try await bench.worker()
            let many = (0..<1000).map { _ in bench.job("strange", priority: .urgent) }
            _ = try await bench.store.insert(many, offer: nil)
            let known = try await bench.put(bench.job("mail", priority: .low))
            bench.equal(try await bench.claim(worker, 1).jobs.map(\.record.id), [known], "claimed jobs")
        },
        Case("a worker that is not registered cannot claim") { bench in
            let worker = try await bench.worker()
            try await bench.store.retire(worker)
            try await bench.put(bench.job())
            await bench.refuses(.notFound, "a claim") { _ = try await bench.claim(worker) }
            bench.equal(try await bench.store.counts().count(.ready), 1, "ready jobs")
        },
        Case("a claim without names or queues takes nothing") { bench in
            let worker = try await bench.worker()
            try await bench.put(bench.job())
            bench.equal(try await bench.claim(worker, names: [:]).jobs.count, 0, "claimed without names")
            bench.equal(try await bench.claim(worker, queues: []).jobs.count, 0, "claimed without queues")
        },
        Case("held, waiting and finished jobs are not claimed") { bench in
            let worker = try await bench.worker()
            for state in [JobState.waiting, .succeeded, .failed, .cancelled, .expired] {
                let made = try await bench.make(state, worker: worker)
                bench.expect(!(try await bench.claim(worker).jobs.contains { $0.record.id == made.id }), "\(state) ran")
            }
            let held = try await bench.put(bench.job())
            try await bench.operate(.hold(lasting: nil), held)
            let answer = try await bench.claim(worker)
            bench.equal(answer.jobs.count, 0, "claimed jobs")
            bench.equal(answer.hasMore, false, "more")
        },
        Case("the epoch rises with every claim") { bench in
            let worker = try await bench.worker()
            var claimed = try await bench.run(on: worker)
            for _ in 0..<5 {
                try await bench.ends(claimed.lease, .released, as: .ready)
                let next = try await bench.take(worker)
                bench.expect(next.lease.epoch > claimed.lease.epoch, "the epoch did not rise")
                claimed = next
            }
        },
    ]
}
