// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    static let inspectCases: [Case] = [
        Case("a store describes itself, also after it was closed") { bench in
            let description = await bench.store.describe()
            bench.expect(
                !description.engine.isEmpty && !description.engineVersion.isEmpty,
                "engine and version are empty"
            )
            try await bench.store.close()
            bench.equal(await bench.store.describe().engine, description.engine, "the engine")
        },
        Case("every call after the store was closed is refused as closed") { bench in
            let worker = try await bench.worker()
            let store = bench.store
            let isMovable = await store.describe().isMovable
            try await store.close()
            try await store.close()
            let lease = Lease(job: bench.id(), worker: worker, epoch: 1)
            let page = JobPageRequest()
            let series = SeriesRequest(from: .epoch, before: bench.now)
            await bench.refuses(.closed, "insert") { _ = try await store.insert([bench.job()], offer: nil) }
            await bench.refuses(.closed, "claim") { _ = try await bench.claim(worker) }
            await bench.refuses(.closed, "register") { _ = try await bench.worker() }
            await bench.refuses(.closed, "retire") { try await store.retire(worker) }
            await bench.refuses(.closed, "beat") {
                _ = try await store.beat(Beat(worker: worker, held: [], accountedThrough: nil))
            }
            await bench.refuses(.closed, "settle") { _ = try await bench.settle(lease, .success) }
            await bench.refuses(.closed, "note") { _ = try await store.note([LeaseNote(lease: lease)]) }
            await bench.refuses(.closed, "jobs") { _ = try await store.jobs([bench.id()], parts: .all) }
            await bench.refuses(.closed, "list") { _ = try await store.list(JobFilter(), page: page) }
            await bench.refuses(.closed, "count") { _ = try await store.count(JobFilter(), limit: 1) }
            await bench.refuses(.closed, "counts") { _ = try await store.counts() }
            await bench.refuses(.closed, "series") { _ = try await store.series(series) }
            await bench.refuses(.closed, "workers") { _ = try await store.workers() }
            await bench.refuses(.closed, "pauses") { _ = try await store.pauses() }
            await bench.refuses(.closed, "audit") { _ = try await store.audit(limit: 1) }
            await bench.refuses(.closed, "operate") { _ = try await bench.operate(.cancel, bench.id()) }
            await bench.refuses(.closed, "maintain") { _ = try await store.maintain(.sweep) }
            if isMovable {
                await bench.refuses(.closed, "export") { _ = try await bench.export() }
                await bench.refuses(.closed, "endExport") { try await store.endExport(bench.exportID(), as: .arrived) }
                await bench.refuses(.closed, "import") {
                    _ = try await store.import(ExportBatch(id: bench.exportID(), destination: "here"))
                }
            }
            await bench.refuses(.closed, "setControls") {
                try await store.setControls([.pause(.everything, actor: "a", reason: "r", lasting: nil)])
            }
        },
        Case("jobs are read in the order of the request, unknown ones are missing") { bench in
            let ids = [
                try await bench.put(bench.job()), try await bench.put(bench.job()), try await bench.put(bench.job()),
            ]
            let read = try await bench.store.jobs([ids[2], bench.id(), ids[0], ids[1]], parts: [])
            bench.equal(read.map(\.id), [ids[2], ids[0], ids[1]], "the jobs")
            bench.equal(try await bench.store.jobs([], parts: .all), [], "no jobs")
        },
        Case("a thousand jobs are read at once") { bench in
            let jobs = (0..<1000).map { _ in bench.job() }
            _ = try await bench.store.insert(jobs, offer: nil)
            bench.equal(try await bench.store.jobs(jobs.map(\.id), parts: []).map(\.id), jobs.map(\.id), "the jobs")
        },
        Case("only the parts that were asked for are read") { bench in
            let worker = try await bench.worker()
            var claimed = try await bench.run(on: worker)
            try await bench.ends(claimed.lease, .again(after: .zero), as: .ready)
            claimed = try await bench.take(worker)
            let line = LogLine(at: bench.now, level: "info", message: "x")
            _ = try await bench.store.note([
                LeaseNote(lease: claimed.lease, lines: [line], checkpoints: ["c": .text("v")])
            ])
            let full = try await bench.record(claimed.record.id)
            let parts: [JobParts] = [[], .payload, .result, .attempts, .log, .checkpoints, [.payload, .log], .all]
            for part in parts {
                var wanted = full
                if !part.contains(.payload) { wanted.payload.bytes = [] }
                if !part.contains(.attempts) { wanted.attempts = [] }
                if !part.contains(.log) { wanted.log = [] }
                if !part.contains(.checkpoints) { wanted.checkpoints = [:] }
                bench.equal(try await bench.record(claimed.record.id, part), wanted, "the parts \(part)")
            }
        },
        Case("counts are by queue, name and state, and exact") { bench in
            let worker = try await bench.worker()
            for state in [JobState.running, .scheduled, .retrying, .failed, .cancelled, .succeeded, .ready] {
                _ = try await bench.make(state, worker: worker)
            }
            try await bench.put(bench.job("call", queue: "other"))
            let counts = try await bench.store.counts()
            bench.equal(counts.count(), 8, "all jobs")
            bench.equal(counts.count(.ready), 2, "ready jobs")
            bench.equal(counts.count(.ready, queue: "other", name: "call"), 1, "ready calls")
            bench.equal(counts.count(.ready, queue: "other", name: "mail"), 0, "ready mails of the other queue")
            bench.expect(counts.rows.allSatisfy { $0.count > 0 }, "a row counts nothing")
            bench.equal(Set(counts.rows.map { "\($0.queue) \($0.name) \($0.state)" }).count, counts.rows.count, "rows")
            bench.equal(counts.at, bench.now, "the time")
        },
        Case("the oldest ready job of each queue is the one that waits longest, whatever its priority") { bench in
            let worker = try await bench.worker()
            let start = bench.now
            let oldest = try await bench.put(bench.job(priority: .low))
            bench.clock.advance(by: .seconds(10))
            let urgent = try await bench.put(bench.job(priority: .urgent))
            try await bench.put(bench.job("strange", queue: "other"))
            try await bench.put(bench.job(queue: "third", start: .after(.hours(1))))
            var counts = try await bench.store.counts()
            bench.equal(counts.oldestReady, [.default: start, "other": bench.now], "the oldest jobs")
            try await bench.operate(.hold(lasting: nil), oldest)
            counts = try await bench.store.counts()
            bench.equal(counts.oldestReady, [.default: bench.now, "other": bench.now], "the oldest that are not held")
            bench.equal(try await bench.claim(worker).jobs.map(\.record.id), [urgent], "claimed jobs")
            bench.equal(try await bench.store.counts().oldestReady, ["other": bench.now], "the oldest at the end")
        },
        Case("a count by filter is exact below its limit and stops there") { bench in
            for index in 0..<10 { try await bench.put(bench.job { $0.tags = index < 6 ? ["x"] : [] }) }
            let exact = try await bench.store.count(JobFilter(tags: ["x"]), limit: 100)
            bench.equal(exact, BoundedCount(value: 6, isExact: true), "the count")
            let bounded = try await bench.store.count(JobFilter(tags: ["x"]), limit: 4)
            bench.equal(bounded, BoundedCount(value: 4, isExact: false), "the bounded count")
            let all = try await bench.store.count(JobFilter(), limit: BoundedCount.defaultLimit)
            bench.equal(all, BoundedCount(value: 10, isExact: true), "the count of everything")
            let few = try await bench.store.count(JobFilter(states: [.ready]), limit: 3)
            bench.equal(few, BoundedCount(value: 3, isExact: false), "the bounded count of a state")
        },
    ]
}
