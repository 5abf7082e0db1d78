// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import ErrandCore

extension StoreConformance {
    static let listCases: [Case] = [
        Case("a list is newest id first, without payloads and parts") { bench in
            let jobs = (0..<5).map { _ in bench.job() }
            _ = try await bench.store.insert([jobs[3], jobs[0], jobs[4], jobs[1], jobs[2]], offer: nil)
            let page = try await bench.store.list(JobFilter(), page: JobPageRequest())
            bench.equal(page.jobs.map(\.id), jobs.map(\.id).sorted(by: >), "the jobs")
            bench.equal(page.next, nil, "the next page")
            bench.equal(page.isBounded, false, "bounded")
            var wanted = JobRecord(jobs[4], at: bench.now)
            wanted.payload.bytes = []
            bench.equal(page.jobs.first { $0.id == jobs[4].id }, wanted, "the record")
        },
        Case("an empty store has an empty list") { bench in
            let page = try await bench.store.list(JobFilter(), page: JobPageRequest())
            bench.equal(page, JobPage(jobs: [], next: nil, isBounded: false), "the page")
        },
        Case("pages by key show every job once, at any page size, and the last has no next") { bench in
            var ids: [JobID] = []
            for _ in 0..<23 { ids.append(try await bench.put(bench.job())) }
            for limit in [1, 2, 5, 22, 23, 24, 500] {
                bench.equal(try await bench.all(limit: limit).map(\.id), ids.sorted(by: >), "pages of \(limit)")
            }
            let exact = try await bench.store.list(JobFilter(), page: JobPageRequest(limit: 23))
            bench.equal(exact.next, nil, "the page behind an exact one")
        },
        Case("pages stay put while jobs arrive and go") { bench in
            var ids: [JobID] = []
            for _ in 0..<10 { ids.append(try await bench.put(bench.job())) }
            let first = try await bench.store.list(JobFilter(), page: JobPageRequest(limit: 4))
            bench.clock.advance(by: .seconds(1))
            try await bench.put(bench.job())
            try await bench.operate(.delete, try bench.need(first.next))
            try await bench.operate(.delete, ids[4])
            let second = try await bench.store.list(JobFilter(), page: JobPageRequest(after: first.next, limit: 4))
            let newest = Array(ids.sorted(by: >))
            let wanted = newest.dropFirst(4).filter { $0 != ids[4] }.prefix(4)
            bench.equal(second.jobs.map(\.id), Array(wanted), "the second page")
        },
        Case("every condition of a filter, alone and with others, means what the core says") { bench in
            let worker = try await bench.worker()
            try await bench.makeMixture(worker)
            let ids = try await bench.all().map(\.id)
            let everything = try await bench.store.jobs(ids, parts: .payload)
            for filter in try await bench.filters() {
                let wanted = everything.filter(filter.matches).map(\.id)
                bench.equal(try await bench.all(filter, limit: 3).map(\.id), wanted, "the jobs of \(filter)")
                let count = try await bench.store.count(filter, limit: 1000)
                bench.equal(count, BoundedCount(value: wanted.count, isExact: true), "the count of \(filter)")
            }
        },
        Case("a search that stops at its scan limit says where to go on, and finds everything in the end") { bench in
            var wanted: [JobID] = []
            for index in 0..<60 {
                let id = try await bench.put(bench.job(text: index.isMultiple(of: 20) ? "needle" : "hay"))
                if index.isMultiple(of: 20) { wanted.append(id) }
            }
            var found: [JobID] = []
            var after: JobID?
            var calls = 0
            repeat {
                let request = JobPageRequest(after: after, limit: 2, scanLimit: 7)
                let page = try await bench.store.list(JobFilter(text: "needle"), page: request)
                found += page.jobs.map(\.id)
                bench.equal(page.isBounded, page.next != nil && page.jobs.count < 2, "bounded")
                after = page.next
                calls += 1
            } while after != nil && calls < 100
            bench.equal(found, wanted.sorted(by: >), "the jobs")
        },
    ]
}

extension StoreBench {
    /// Jobs of several queues, names, tags, states and times.
    func makeMixture(_ worker: WorkerID) async throws {
        for state in StoreBench.reachable where state != .ready { _ = try await make(state, worker: worker) }
        clock.advance(by: .seconds(1))
        for index in 0..<12 {
            let unique = index == 3 ? UniqueRule(key: "a%") : nil
            try await put(
                job(
                    index.isMultiple(of: 2) ? "mail" : "call",
                    queue: index.isMultiple(of: 3) ? "x" : "y",
                    text: index < 6 ? #"{"city":"Zürich 100%"}"# : #"{"city":"zürich"}"#,
                    start: .after(.hours(1)),
                    unique: unique
                ) {
                    $0.tags = Array(["red", "re", "green", "r%d"].prefix(index % 5))
                }
            )
        }
        for job in try await all(JobFilter(queues: ["x"]), limit: 2).prefix(2) {
            try await operate(.hold(lasting: nil), job.id)
        }
    }

    func filters() async throws -> [JobFilter] {
        let some = try await all()
        let print = StoredError.sample.fingerprint(of: "mail")
        return [
            JobFilter(), JobFilter(states: [.failed]), JobFilter(states: [.ready, .scheduled, .cancelled]),
            JobFilter(names: ["mail"]), JobFilter(names: ["mail", "call"]), JobFilter(names: ["nobody"]),
            JobFilter(queues: ["x"]), JobFilter(queues: ["x", .default]), JobFilter(tags: ["red"]),
            JobFilter(tags: ["red", "green"]), JobFilter(tags: ["re"]), JobFilter(tags: ["r%d"]),
            JobFilter(tags: ["r"]), JobFilter(ids: [some[1].id, some[4].id, id()]), JobFilter(createdFrom: now),
            JobFilter(createdBefore: now), JobFilter(createdFrom: now - .seconds(1), createdBefore: now),
            JobFilter(fingerprint: print), JobFilter(fingerprint: "none"), JobFilter(uniqueKey: "a%"),
            JobFilter(uniqueKey: "a"), JobFilter(text: "Zürich"), JobFilter(text: "100%"), JobFilter(text: "_"),
            JobFilter(text: "absent"), JobFilter(isHeld: true), JobFilter(isHeld: false),
            JobFilter(states: [.scheduled], names: ["call"], queues: ["y"], tags: ["red"], isHeld: false),
            JobFilter(states: [.failed], names: ["mail"], fingerprint: print),
            JobFilter(queues: ["x"], createdFrom: now, text: "100%", isHeld: true),
        ]
    }
}
