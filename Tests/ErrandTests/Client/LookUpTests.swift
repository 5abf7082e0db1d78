// Errand: background work for Swift servers
// SPDX-License-Identifier: Apache-2.0

import Errand
import ErrandTesting
import Testing

@Suite("Looking jobs up", .timeLimit(.minutes(3)))
struct LookUpTests {
    private static let start = ManualClock().now

    /// Six jobs, a minute apart: `numbers` says which is which, because lists have no payloads.
    private struct Stock {
        let harness: ErrandHarness
        var numbers: [JobID: Int] = [:]

        init() async throws {
            harness = ErrandHarness()
            try await add(Chore(number: 0))
            try await add(Chore(number: 1), EnqueueOptions(queue: "mail", tags: ["red"]))
            try await add(Chore(number: 2), EnqueueOptions(start: .after(.hours(1)), tags: ["red", "blue"]))
            try await add(Greeting(who: "Ada"), EnqueueOptions(queue: "mail", tags: ["blue"]))
            try await add(Greeting(who: "Grace"), .unique(key: "hello"))
            try await add(Greeting(who: "Edsger"))
            let held = try #require(numbers.first { $0.value == 5 }?.key)
            try await harness.client.hold([held], reason: "look")
            try await harness.client.cancel(matching: JobFilter(queues: ["mail"], tags: ["blue"]), reason: "no")
        }

        private mutating func add<J: Job>(_ job: J, _ options: EnqueueOptions = EnqueueOptions()) async throws {
            numbers[try await harness.client.enqueue(job, options: options).id] = numbers.count
            harness.clock.advance(by: .minutes(1))
        }

        func found(_ filter: JobFilter) async throws -> [Int] {
            try await harness.client.jobs(filter).jobs.compactMap { numbers[$0.id] }
        }
    }

    @Test("a job is found by its id, with the parts that are asked for, and an unknown id is none")
    func byID() async throws {
        let harness = ErrandHarness()
        let handle = try await harness.client.enqueue(Chore(number: 1))
        let plain = try #require(try await harness.client.job(handle.id))
        #expect(plain.name == "chore" && plain.state == .ready && plain.payload.bytes.isEmpty)
        let full = try #require(try await harness.client.job(handle.id, parts: .payload))
        #expect(String(decoding: full.payload.bytes, as: UTF8.self) == #"{"number":1}"#)
        #expect(try await JobHandle<Chore>(id: handle.id, client: harness.client).record() == plain)

        let unknown = JobID(high: 1, low: 1)
        #expect(try await harness.client.job(unknown) == nil)
        let error = await #expect(throws: ErrandError.self) {
            try await JobHandle<Chore>(id: unknown, client: harness.client).record()
        }
        #expect(error?.code == .jobNotFound)
        #expect(error?.message.contains("\(unknown)") == true)
    }

    @Test(
        "a filter means the jobs for which all it says holds, newest first",
        arguments: [
            (JobFilter(), [5, 4, 3, 2, 1, 0]),
            (JobFilter(names: ["chore"]), [2, 1, 0]),
            (JobFilter(queues: ["mail"]), [3, 1]),
            (JobFilter(names: ["chore"], queues: ["mail"]), [1]),
            (JobFilter(tags: ["red"]), [2, 1]),
            (JobFilter(tags: ["red", "blue"]), [2]),
            (JobFilter(states: [.scheduled]), [2]),
            (JobFilter(states: [.cancelled, .scheduled]), [3, 2]),
            (JobFilter(createdFrom: start + .minutes(2), createdBefore: start + .minutes(4)), [3, 2]),
            (JobFilter(uniqueKey: "hello"), [4]),
            (JobFilter(text: "Grace"), [4]),
            (JobFilter(isHeld: true), [5]),
            (JobFilter(names: ["nobody"]), []),
        ] as [(JobFilter, [Int])]
    )
    func filter(_ filter: JobFilter, _ expected: [Int]) async throws {
        let stock = try await Stock()
        #expect(try await stock.found(filter) == expected)
        #expect(try await stock.harness.client.count(filter) == BoundedCount(value: expected.count, isExact: true))
    }

    @Test("pages by key show each job once and in order, although jobs arrive and go meanwhile")
    func pages() async throws {
        let harness = ErrandHarness()
        let ids = try await harness.client.enqueue(contentsOf: (0..<250).map(Chore.init)).map(\.id)
        harness.clock.advance(by: .seconds(1))
        var seen: [JobID] = []
        var sizes: [Int] = []
        var request = JobPageRequest(limit: 100)
        repeat {
            let page = try await harness.client.jobs(JobFilter(names: ["chore"]), page: request)
            seen += page.jobs.map(\.id)
            sizes.append(page.jobs.count)
            request.after = page.next
            try await harness.client.enqueue(contentsOf: (0..<50).map(Chore.init))
            try await harness.client.delete([seen[seen.count - 1]], reason: "while paging")
        } while request.after != nil
        #expect(sizes == [100, 100, 50])
        #expect(seen == ids.sorted(by: >))
    }

    @Test("counts say how many there are by queue, name and state, and stop at the limit that is asked for")
    func counts() async throws {
        let stock = try await Stock()
        let counts = try await stock.harness.client.counts()
        #expect(counts.count() == 6)
        #expect(counts.count(.ready) == 4)
        #expect(counts.count(.cancelled, queue: "mail", name: "greeting") == 1)
        #expect(counts.count(queue: "mail") == 2)
        let bounded = try await stock.harness.client.count(JobFilter(), limit: 3)
        #expect(bounded == BoundedCount(value: 3, isExact: false))
    }

    @Test("failed jobs with the same trouble are found together by its fingerprint")
    func deadLetters() async throws {
        let harness = ErrandHarness { handlers, _ in
            handlers.add(Chore.self) { job, _ in
                throw JobControl.fail(reason: job.number < 3 ? "no user \(job.number)" : "disk full")
            }
        }
        let handles = try await harness.client.enqueue(contentsOf: (0..<5).map(Chore.init))
        try await harness.runDue()
        let fingerprint = try #require(try await handles[0].record().fingerprint)
        let same = try await harness.client.jobs(JobFilter(fingerprint: fingerprint)).jobs
        #expect(Set(same.map(\.id)) == Set(handles[0..<3].map(\.id)))
    }
}
