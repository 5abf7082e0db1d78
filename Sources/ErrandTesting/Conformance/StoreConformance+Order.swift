// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    static let orderCases: [Case] = [
        Case("jobs of one priority start in the order in which they were stored") { bench in
            let worker = try await bench.worker()
            var ids: [JobID] = []
            for _ in 0..<20 { ids.append(try await bench.put(bench.job())) }
            let batch = (0..<20).map { _ in bench.job() }
            _ = try await bench.store.insert(batch, offer: nil)
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), ids + batch.map(\.id), "the order")
        },
        Case("the order of storing counts, not that of the ids") { bench in
            let worker = try await bench.worker()
            let jobs = [bench.job(), bench.job(), bench.job()]
            for job in jobs.reversed() { try await bench.put(job) }
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), jobs.reversed().map(\.id), "the order")
        },
        Case("a higher priority starts first, over all names and versions") { bench in
            let worker = try await bench.worker(["mail": 2, "call": 1])
            var ids: [Int: JobID] = [:]
            for level in [3, 9, 0, 5, 7, 1, 8, 2, 6, 4] {
                let job = bench.job(
                    level.isMultiple(of: 2) ? "mail" : "call",
                    version: level.isMultiple(of: 4) ? 2 : 1,
                    priority: JobPriority(level)
                )
                ids[level] = try await bench.put(job)
            }
            let claimed = try await bench.claim(worker, names: ["mail": 2, "call": 1]).jobs.map(\.record.id)
            bench.equal(claimed, (0...9).reversed().compactMap { ids[$0] }, "the order")
        },
        Case("a job gains one level for each five minutes it is ready") { bench in
            let worker = try await bench.worker()
            let low = try await bench.put(bench.job(priority: 2))
            bench.clock.advance(by: .minutes(14))
            let early = try await bench.put(bench.job(priority: 5))
            bench.clock.advance(by: .minutes(2))
            let late = try await bench.put(bench.job(priority: 5))
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), [early, low, late], "the order")
        },
        Case("a delayed job does not age before it is due, and a late promotion costs it nothing") { bench in
            let worker = try await bench.worker()
            let delayed = try await bench.put(bench.job(priority: 5, start: .after(.minutes(10))))
            let before = try await bench.put(bench.job(priority: 5, start: .after(.minutes(9))))
            bench.clock.advance(by: .minutes(11))
            let after = try await bench.put(bench.job(priority: 5))
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), [before, delayed, after], "the order")
        },
        Case("priority is kept over retry, snooze, release, rescue and pause") { bench in
            var worker = try await bench.worker()
            let urgent = try await bench.put(bench.job(priority: .urgent))
            _ = try await bench.put(bench.job(priority: .normal))
            for outcome in [Outcome.again(after: .zero), .snoozed(.zero), .released] {
                let claimed = try await bench.take(worker)
                bench.equal(claimed.record.id, urgent, "the first job before \(outcome)")
                bench.equal(claimed.record.priority, .urgent, "its priority")
                try await bench.ends(claimed.lease, outcome, as: .ready)
            }
            _ = try await bench.take(worker)
            bench.clock.advance(by: .minutes(1))
            worker = try await bench.worker()
            _ = try await bench.store.maintain(.rescue(silence: .seconds(30)))
            bench.equal(try await bench.state(urgent), .ready, "the state after a rescue")
            try await bench.store.setControls([.pause(.everything, actor: "a", reason: "", lasting: nil)])
            try await bench.store.setControls([.resume(.everything, actor: "a", reason: "")])
            bench.equal(try await bench.take(worker).record.id, urgent, "the first job after rescue and pause")
        },
        Case("a released job goes to the front of its priority") { bench in
            let worker = try await bench.worker()
            let first = try await bench.run(on: worker)
            bench.clock.advance(by: .seconds(1))
            let second = try await bench.put(bench.job())
            try await bench.ends(first.lease, .released, as: .ready)
            let order = try await bench.claim(worker).jobs.map(\.record.id)
            bench.equal(order, [first.record.id, second], "the order")
        },
        Case("a retried job goes behind those that were ready before its wait was over") { bench in
            let worker = try await bench.worker()
            let first = try await bench.run(on: worker)
            let second = try await bench.put(bench.job())
            try await bench.ends(first.lease, .again(after: .seconds(1)), as: .retrying)
            bench.clock.advance(by: .seconds(2))
            let third = try await bench.put(bench.job())
            let order = try await bench.claim(worker).jobs.map(\.record.id)
            bench.equal(order, [second, first.record.id, third], "the order")
        },
        Case("strict order serves the first queue that has work") { bench in
            let worker = try await bench.worker()
            for queue in ["b", "a"] as [QueueName] {
                for _ in 0..<3 { try await bench.put(bench.job(queue: queue)) }
            }
            let request = ClaimRequest(
                worker: worker,
                names: StoreBench.names,
                queues: [.init(name: "a", slots: 9), .init(name: "b", slots: 9)],
                limit: 4,
                order: .strict
            )
            let queues = try await bench.store.claim(request).jobs.map(\.record.queue)
            bench.equal(queues, ["a", "a", "a", "b"], "the queues")
        },
        Case("weights share a claim between queues as QueueShares says") { bench in
            let worker = try await bench.worker()
            for queue in ["a", "b", "c"] as [QueueName] {
                let jobs = (0..<60).map { _ in bench.job(queue: queue) }
                _ = try await bench.store.insert(jobs, offer: nil)
            }
            let queues: [ClaimRequest.Queue] = [
                .init(name: "a", slots: 99, weight: 5), .init(name: "b", slots: 99, weight: 3),
                .init(name: "c", slots: 99, weight: 1),
            ]
            let request = ClaimRequest(worker: worker, names: StoreBench.names, queues: queues, limit: 45)
            let answer = try await bench.store.claim(request)
            var shares = QueueShares(order: .weighted, queues: queues)
            let wanted = (0..<45).compactMap { _ in shares.next { _ in true }.map { queues[$0].name } }
            bench.equal(answer.jobs.map(\.record.queue), wanted, "the queues")
            bench.equal(answer.credits, shares.credits, "the credits")
            bench.equal(wanted.count { $0 == "c" }, 5, "the smallest share")
        },
        Case("claims of one job are as fair as one claim of many, by the credit carried over") { bench in
            let worker = try await bench.worker()
            for queue in ["a", "b"] as [QueueName] {
                let jobs = (0..<40).map { _ in bench.job(queue: queue) }
                _ = try await bench.store.insert(jobs, offer: nil)
            }
            var credits: [QueueName: Int] = [:]
            var taken: [QueueName: Int] = [:]
            for _ in 0..<40 {
                let request = ClaimRequest(
                    worker: worker,
                    names: StoreBench.names,
                    queues: [
                        .init(name: "a", slots: 9, weight: 3, credit: credits["a"] ?? 0),
                        .init(name: "b", slots: 9, weight: 1, credit: credits["b"] ?? 0),
                    ],
                    limit: 1
                )
                let answer = try await bench.store.claim(request)
                credits = answer.credits
                taken[try bench.need(answer.jobs.first).record.queue, default: 0] += 1
            }
            bench.equal(taken, ["a": 30, "b": 10], "the shares")
        },
        Case("an empty queue gives its share to the others") { bench in
            let worker = try await bench.worker()
            for _ in 0..<6 { try await bench.put(bench.job(queue: "b")) }
            let request = ClaimRequest(
                worker: worker,
                names: StoreBench.names,
                queues: [.init(name: "a", slots: 9, weight: 100), .init(name: "b", slots: 9)],
                limit: 9
            )
            bench.equal(try await bench.store.claim(request).jobs.count, 6, "claimed jobs")
        },
    ]
}
